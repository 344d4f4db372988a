//! Estimated round-trip time between two places, for decisions made before anything runs there.
//!
//! The estimate is a fixed part and the time of light in fibre over the great circle, lengthened by a
//! path factor. Both constants are fitted (least sum of relative errors) on measured times between 21
//! EC2 regions; `docs/placement.md` gives the error, and a test measures it again.

use kato_core::Coordinates;

/// Round-trip microseconds per kilometre of fibre: light covers about 200 km in a millisecond there.
const FIBRE_US_PER_KM: f64 = 10.0;
/// How much longer cables and routes are than the great circle.
pub const PATH_FACTOR: f64 = 1.56;
/// The part that distance does not explain: last miles, routers, the hosts themselves.
pub const FIXED_US: f64 = 3_500.0;
/// Mean radius of the Earth in kilometres (IUGG, R₁), as in `kato_core::Coordinates::distance_km`.
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

/// The estimated round-trip time over `km` of great circle, in microseconds.
pub fn estimate_us(km: f64) -> u32 {
    // Half the Earth's girth is 316 ms of this: far below the type's bound. `as` saturates.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let us = (FIXED_US + PATH_FACTOR * FIBRE_US_PER_KM * km).round() as u32;
    us
}

/// The time that a way of `km` adds, in microseconds.
pub(crate) fn way_us(km: f64) -> u32 {
    estimate_us(km) - estimate_us(0.0)
}

/// Whether light in fibre can make a round trip over `km` of great circle in so many microseconds.
pub(crate) fn is_possible(us: u32, km: f64) -> bool {
    f64::from(us) >= FIBRE_US_PER_KM * km
}

/// A place as a unit vector: its trigonometry is paid once, not once for each pair.
#[derive(Debug, Clone, Copy)]
pub struct Point([f64; 3]);

impl Point {
    /// The great-circle distance in kilometres, from the length of the chord.
    pub fn distance_km(self, other: Self) -> f64 {
        let square = |axis: usize| (self.0[axis] - other.0[axis]).powi(2);
        let half_chord = (square(0) + square(1) + square(2)).sqrt() / 2.0;
        // Rounding may carry antipodes a hair over 1, where asin has no value.
        2.0 * EARTH_RADIUS_KM * half_chord.min(1.0).asin()
    }
}

impl From<Coordinates> for Point {
    fn from(at: Coordinates) -> Self {
        let (lat_sin, lat_cos) = at.latitude().to_radians().sin_cos();
        let (lon_sin, lon_cos) = at.longitude().to_radians().sin_cos();
        Self([lat_cos * lon_cos, lat_cos * lon_sin, lat_sin])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_grows_with_distance_from_its_fixed_part() {
        assert_eq!(estimate_us(0.0), 3_500);
        assert_eq!(estimate_us(5_113.0), 83_263);
        assert!(estimate_us(20_015.1) < 320_000);
    }

    #[test]
    fn the_chord_gives_the_distance_that_the_haversine_gives() {
        let places =
            ["53.42,-6.27", "40.69,-74.17", "-33.87,151.21", "0,0", "0,180", "53.43,-6.27"];
        let places = places.map(|text| text.parse::<Coordinates>().unwrap());
        for a in places {
            for b in places {
                let chord = Point::from(a).distance_km(Point::from(b));
                assert!((chord - a.distance_km(b)).abs() < 1e-3, "{a} to {b}: {chord}");
            }
        }
    }
}
