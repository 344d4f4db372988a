//! Where IP addresses are, by databases in MaxMind's format that the configuration names: MaxMind's own GeoLite2 and GeoIP2
//! cities, and those with the flat schema of ip-location-db (latitude and longitude at the top of each record).
//!
//! They are some 60 MB and asked a few times a day: each question reads them anew, and nothing of them is kept.

use std::cell::OnceCell;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use kato_core::Coordinates;
use maxminddb::{MaxMindDbError, Reader};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

/// The most databases that one coordinator reads: one for IPv4 and one for IPv6, mostly.
pub(crate) const IP_LOCATIONS_MAX: usize = 4;

/// The databases that are asked, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct IpLocations {
    paths: Vec<PathBuf>,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the IP locations in {}", path.display())]
pub struct IpLocationsError {
    path: PathBuf,
    #[source]
    source: MaxMindDbError,
}

/// What of a record is read, in either schema. Both have more.
#[derive(Debug, Deserialize)]
struct Record {
    location: Option<Point>,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

#[derive(Debug, Deserialize)]
struct Point {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

/// A number of either width: MaxMind writes doubles, ip-location-db floats.
#[derive(Debug, Clone, Copy)]
struct Degrees(f64);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl Visitor<'_> for Either {
            type Value = Degrees;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("degrees, as a float or a double")
            }

            fn visit_f32<E>(self, degrees: f32) -> Result<Degrees, E> {
                Ok(Degrees(degrees.into()))
            }

            fn visit_f64<E>(self, degrees: f64) -> Result<Degrees, E> {
                Ok(Degrees(degrees))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Record {
    fn degrees(&self) -> Option<(f64, f64)> {
        let nested = || {
            let point = self.location.as_ref()?;
            point.latitude.zip(point.longitude)
        };
        let found = self.latitude.zip(self.longitude).or_else(nested);
        found.map(|(latitude, longitude)| (latitude.0, longitude.0))
    }
}

impl IpLocations {
    /// Uses the databases in these files, each of which must be one.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Result<Self, IpLocationsError> {
        let locations = Self { paths };
        for path in &locations.paths {
            let read = read(path)?;
            let metadata = read.metadata();
            let (kind, built) = (&metadata.database_type, metadata.build_epoch);
            tracing::info!(path = %path.display(), kind, built, "IP addresses are located");
        }
        Ok(locations)
    }

    /// Asks several questions, for which the files are read at the most once.
    pub(crate) fn ask(&self) -> Asked<'_> {
        Asked { locations: self, readers: OnceCell::new() }
    }
}

fn read(path: &PathBuf) -> Result<Reader<Vec<u8>>, IpLocationsError> {
    Reader::open_readfile(path).map_err(|source| IpLocationsError { path: path.clone(), source })
}

/// Databases while they are asked.
pub(crate) struct Asked<'a> {
    locations: &'a IpLocations,
    readers: OnceCell<Vec<Reader<Vec<u8>>>>,
}

impl Asked<'_> {
    fn readers(&self) -> Result<&[Reader<Vec<u8>>], IpLocationsError> {
        if let Some(readers) = self.readers.get() {
            return Ok(readers);
        }
        let readers = self.locations.paths.iter().map(read).collect::<Result<_, _>>()?;
        Ok(self.readers.get_or_init(|| readers))
    }

    /// Where an address is, or what would have to be otherwise.
    pub(crate) fn locate(&self, address: IpAddr) -> Result<Coordinates, String> {
        if self.locations.paths.is_empty() {
            return Err(format!(
                "nobody here knows where {address} is: name a database with ip_locations in the coordinators' \
                 configuration, or give the city"
            ));
        }
        let readers = self.readers().map_err(|error| {
            tracing::error!(%error, "IP locations");
            format!("{error}: give the city")
        })?;
        for reader in readers {
            // A database of IPv4 alone knows no other addresses.
            if address.is_ipv6() && reader.metadata().ip_version == 4 {
                continue;
            }
            let found = reader.lookup(address).and_then(|found| found.decode::<Record>());
            let found = found.map_err(|error| format!("the IP locations are damaged: {error}"))?;
            if let Some((latitude, longitude)) = found.and_then(|record| record.degrees()) {
                let at = Coordinates::from_degrees(latitude, longitude);
                return at.map_err(|error| format!("{address} is located wrongly: {error}"));
            }
        }
        Err(format!("the IP locations do not say where {address} is: give the city"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
    }

    fn locate(files: &[&str], address: &str) -> Result<String, String> {
        let paths = files.iter().map(|name| data(name)).collect();
        let locations = IpLocations::new(paths).unwrap();
        locations.ask().locate(address.parse().unwrap()).map(|at| at.to_string())
    }

    #[test]
    fn both_schemas_are_read() {
        for files in [&["nested.mmdb"][..], &["flat.mmdb"], &["flat.mmdb", "nested.mmdb"]] {
            assert_eq!(locate(files, "203.0.113.7"), Ok("53.3500,-6.2600".to_owned()));
            assert_eq!(locate(files, "2001:db8::1"), Ok("-33.8700,151.2100".to_owned()));
            for unknown in ["10.1.1.1", "203.0.113.200", "198.51.100.7", "::1"] {
                let error = locate(files, unknown).unwrap_err();
                assert!(error.contains(&format!("where {unknown} is: give the city")), "{error}");
            }
            let off = locate(files, "192.0.2.1").unwrap_err();
            assert!(off.starts_with("192.0.2.1 is located wrongly"), "{off}");
        }
        let none = locate(&[], "203.0.113.7").unwrap_err();
        assert!(none.contains("name a database with ip_locations"), "{none}");
    }

    #[test]
    fn what_is_no_database_is_named() {
        for (name, what) in [("make.py", "invalid"), ("missing.mmdb", "No such file")] {
            let error = IpLocations::new(vec![data(name)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.to_lowercase().contains(&what.to_lowercase()), "{source}");
        }
    }
}
