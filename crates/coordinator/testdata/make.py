"""Makes the databases of this directory, with mmdb_writer 0.2.7 (PyPI): one in MaxMind's schema with
doubles, one in the flat schema of ip-location-db with floats."""

from netaddr import IPSet
from mmdb_writer import MMDBWriter, MmdbF32

PLACES = {
    "203.0.113.0/25": (53.35, -6.26, "Dublin", "IE"),
    "198.51.100.0/24": (None, None, "Nowhere", "IE"),
    "192.0.2.0/24": (91.0, 0.0, "Off the globe", "IE"),
    "2001:db8::/32": (-33.87, 151.21, "Sydney", "AU"),
}


def nested(latitude, longitude, city, country):
    row = {"city": {"names": {"en": city}}, "country": {"iso_code": country}}
    if latitude is not None:
        row["location"] = {"latitude": latitude, "longitude": longitude}
    return row


def flat(latitude, longitude, city, country):
    row = {"city": city, "country_code": country}
    if latitude is not None:
        row |= {"latitude": MmdbF32(latitude), "longitude": MmdbF32(longitude)}
    return row


for name, row in [("nested", nested), ("flat", flat)]:
    writer = MMDBWriter(6, f"Test-City-{name}", ipv4_compatible=True)
    for network, place in PLACES.items():
        writer.insert_network(IPSet([network]), row(*place))
    writer.to_db_file(f"{name}.mmdb")
