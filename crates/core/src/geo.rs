//! Places on the Earth, as integers: the replicated state holds no floating-point number.

use std::fmt;
use std::str::FromStr;

/// Mean radius of the Earth in kilometres (IUGG, R₁).
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

/// Micro-degrees in a degree.
const MICRO: f64 = 1_000_000.0;

/// A place, in millionths of a degree of WGS 84 (11 cm on the ground).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Coordinates {
    latitude_micro: i32,
    longitude_micro: i32,
}

/// Why a text or a pair of numbers is not a place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CoordinatesError {
    /// The text is not two numbers with a comma between.
    #[error("\"{0}\" is not a pair of coordinates: write latitude,longitude, such as 53.35,-6.26")]
    Form(String),
    /// A number lies off the globe.
    #[error(
        "latitude {latitude}, longitude {longitude} lies off the globe: \
         latitude is -90 to 90, longitude -180 to 180"
    )]
    OffTheGlobe {
        /// Degrees north.
        latitude: f64,
        /// Degrees east.
        longitude: f64,
    },
}

impl Coordinates {
    /// A place from degrees north and degrees east.
    pub fn from_degrees(latitude: f64, longitude: f64) -> Result<Self, CoordinatesError> {
        if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
            return Err(CoordinatesError::OffTheGlobe { latitude, longitude });
        }
        // The range check above makes both casts exact within the type.
        #[allow(clippy::cast_possible_truncation)]
        let micro = |degrees: f64| (degrees * MICRO).round() as i32;
        Ok(Self { latitude_micro: micro(latitude), longitude_micro: micro(longitude) })
    }

    /// A place from millionths of a degree, as stored.
    pub fn from_micro(latitude: i32, longitude: i32) -> Result<Self, CoordinatesError> {
        Self::from_degrees(f64::from(latitude) / MICRO, f64::from(longitude) / MICRO)
    }

    /// Millionths of a degree north.
    pub fn latitude_micro(self) -> i32 {
        self.latitude_micro
    }

    /// Millionths of a degree east.
    pub fn longitude_micro(self) -> i32 {
        self.longitude_micro
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude_micro) / MICRO
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude_micro) / MICRO
    }

    /// The great-circle distance in kilometres, by the haversine formula.
    pub fn distance_km(self, other: Self) -> f64 {
        let (lat_a, lat_b) = (self.latitude().to_radians(), other.latitude().to_radians());
        let half_lat = (lat_b - lat_a) / 2.0;
        let half_lon = (other.longitude() - self.longitude()).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
        // Rounding may carry antipodes a hair over 1, where asin has no value.
        2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
    }
}

impl fmt::Display for Coordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4},{:.4}", self.latitude(), self.longitude())
    }
}

impl FromStr for Coordinates {
    type Err = CoordinatesError;

    fn from_str(text: &str) -> Result<Self, CoordinatesError> {
        let form = || CoordinatesError::Form(text.to_owned());
        let (latitude, longitude) = text.split_once(',').ok_or_else(form)?;
        let degrees = |part: &str| part.trim().parse::<f64>().map_err(|_| form());
        Self::from_degrees(degrees(latitude)?, degrees(longitude)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Coordinates {
        text.parse().unwrap()
    }

    #[test]
    fn distances_match_published_ones() {
        // Great Circle Mapper: DUB–EWR 5,113 km (ellipsoid); the sphere is within 0.5 %.
        let dublin = at("53.4213,-6.2701");
        let newark = at("40.6925,-74.1687");
        let km = dublin.distance_km(newark);
        assert!((km - 5_113.0).abs() < 26.0, "{km}");
        assert!(dublin.distance_km(dublin) < 1e-9);
        let antipodes = at("0,0").distance_km(at("0,180"));
        assert!((antipodes - 20_015.1).abs() < 1.0, "{antipodes}");
    }

    #[test]
    fn a_place_off_the_globe_or_out_of_form_is_refused() {
        for bad in ["91,0", "-91,0", "0,181", "0,-181", "NaN,0", "53.35", "a,b", "", "1,2,3"] {
            assert!(bad.parse::<Coordinates>().is_err(), "{bad:?} was taken");
        }
    }
}
