//! The shipped catalogue, and a large one against a linear scan.

use std::sync::Arc;

use kato_core::{Arch, Market, Offer, Resources, SpotPolicy, Terms, Timestamp};
use kato_placement::catalogue::{Defaults, Wanted};
use kato_placement::{Catalogue, regions};

use crate::support::shared;

fn scan<'a>(
    offers: impl Iterator<Item = &'a Arc<Offer>>,
    request: Resources,
    spot: SpotPolicy,
    arch: Arch,
) -> Option<&'a Arc<Offer>> {
    offers
        .filter(|offer| offer.arch == arch && Wanted::new(spot, arch).admits(offer))
        .filter(|offer| request.fits(offer.capacity))
        .min_by_key(|offer| (offer.price_micros_per_hour, offer.market, &offer.kind))
}

fn check_against_scan(catalogue: &Catalogue) -> usize {
    let requests = [(0, 0), (500, 256), (1_000, 3_900), (2_000, 8_192), (16_000, 131_072)];
    let mut answers = 0;
    for (provider, region) in catalogue.regions() {
        for (cpu, mib) in requests {
            for spot in [SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required] {
                for arch in [Arch::X86_64, Arch::Arm64] {
                    let request = Resources::new(cpu, mib);
                    let found =
                        catalogue.cheapest(provider, region, request, &Wanted::new(spot, arch));
                    let scanned = scan(catalogue.offers(provider, region), request, spot, arch);
                    assert_eq!(found, scanned, "{provider} {region} {request} {spot:?} {arch}");
                    answers += usize::from(found.is_some());
                }
            }
        }
    }
    answers
}

#[test]
fn the_builtin_catalogue_reads_and_its_regions_have_places() {
    let catalogue = Catalogue::builtin();
    let mut seen = 0;
    for (provider, region) in catalogue.regions() {
        assert!(regions::coordinates(provider, region).is_some(), "{provider} {region}");
        seen += 1;
    }
    assert_eq!(seen, 31);
    for offer in catalogue.all_offers() {
        assert!(!offer.source.is_empty(), "{offer:?}");
        assert!(offer.priced_at > Timestamp(0), "{offer:?}");
    }
    assert!(check_against_scan(&catalogue) > 300);
    let ec2 = "ec2".parse().unwrap();
    let request = Resources::new(2_000, 4_096);
    let cheapest = |region: &str, spot, arch| {
        let offer =
            catalogue.cheapest(&ec2, &region.parse().unwrap(), request, &Wanted::new(spot, arch));
        offer.map(|offer| offer.kind.clone())
    };
    let never = SpotPolicy::Never;
    assert_eq!(cheapest("eu-west-1", never, Arch::X86_64).as_deref(), Some("t3.medium"));
    assert_eq!(cheapest("eu-west-1", never, Arch::Arm64).as_deref(), Some("t4g.medium"));
    assert_eq!(cheapest("mars-1", never, Arch::X86_64), None);
}

/// Spot rows say how often machines are taken back, and rows say what is paid whole, or their provider does.
#[test]
fn terms_are_read_and_known_of_providers() {
    let defaults = Defaults {
        provider: "ec2".parse().unwrap(),
        priced_at: Timestamp(0),
        source: String::new(),
    };
    let text = "InstanceType,vCPUs,MemoryGiB,Price,SpotPrice,Region,Provider,InterruptionPercent,BilledSeconds\n\
        a,2,4,0.04,0.01,dub,,10,\nb,2,4,0.04,,dub,packet,,\nc,2,4,0.04,,dub,other,,\nd,2,4,0.04,,dub,other,,86400\n";
    let catalogue = Catalogue::parse_csv(text, &defaults).unwrap();
    let told = |offer: &Arc<Offer>| {
        let Terms { interruption_percent, billed_s } = offer.terms;
        (offer.kind.clone(), offer.market, interruption_percent, billed_s)
    };
    let mut all: Vec<_> = catalogue.all_offers().map(told).collect();
    all.sort();
    let expected = [
        ("a", Market::OnDemand, None, Some(1)),
        ("a", Market::Spot, Some(10), Some(1)),
        ("b", Market::OnDemand, None, Some(3_600)),
        ("c", Market::OnDemand, None, None),
        ("d", Market::OnDemand, None, Some(86_400)),
    ];
    assert_eq!(all, expected.map(|(kind, m, i, b)| (kind.to_owned(), m, i, b)));
    for (row, column) in [
        ("a,2,4,0.04,0.01,dub,,0,\n", "InterruptionPercent"),
        ("a,2,4,0.04,0.01,dub,,101,\n", "InterruptionPercent"),
        ("a,2,4,0.04,0.01,dub,,<5%,\n", "InterruptionPercent"),
        ("a,2,4,0.04,0.01,dub,,,0\n", "BilledSeconds"),
        ("a,2,4,0.04,0.01,dub,,,hour\n", "BilledSeconds"),
    ] {
        let header = text.lines().next().unwrap();
        let error = Catalogue::parse_csv(&format!("{header}\n{row}"), &defaults).unwrap_err();
        assert_eq!((error.line, error.column.as_str()), (2, column), "{row}");
        assert!(error.message.contains("a whole number from 1 to"), "{error}");
    }
}

/// The Spot Advisor's classes: whoever asks for the best one gets something, and not everything.
#[test]
fn the_builtin_catalogue_knows_what_is_taken_back() {
    let catalogue = Catalogue::builtin();
    let spot = catalogue.all_offers().filter(|offer| offer.market == Market::Spot);
    let (known, unknown): (Vec<_>, Vec<_>) =
        spot.partition(|offer| offer.terms.interruption_percent.is_some());
    assert!(known.len() > 400 && unknown.is_empty(), "{} {}", known.len(), unknown.len());
    let best = known.iter().filter(|offer| offer.terms.interruption_percent == Some(5)).count();
    assert!((50..200).contains(&best), "{best}");
    assert!(catalogue.all_offers().all(|offer| offer.terms.billed_s.is_some()));
}

#[test]
fn rows_in_any_order_give_one_catalogue() {
    let offers: Vec<Arc<Offer>> = Catalogue::builtin().all_offers().cloned().collect();
    let again = Catalogue::new(offers.iter().rev().cloned());
    assert!(again.all_offers().eq(&offers));
}

#[test]
fn a_region_with_other_prices_is_as_if_all_were_read_with_them() {
    let before = Catalogue::builtin();
    let (provider, region) = ("ec2".parse().unwrap(), "eu-west-1".parse().unwrap());
    let dearer = |offer: &Arc<Offer>| {
        let mut offer = Offer::clone(offer);
        if offer.provider == provider && offer.region == region {
            // One that was cheap is dear now, so that the order changes.
            let factor = if offer.kind == "t3.medium" { 50 } else { 2 };
            offer.price_micros_per_hour.0 *= factor;
        }
        offer
    };
    let mut after = before.clone();
    after.set_region(&provider, &region, before.offers(&provider, &region).map(dearer));
    assert!(after.all_offers().eq(Catalogue::new(before.all_offers().map(dearer)).all_offers()));
    assert!(check_against_scan(&after) > 300);
    assert!(before.all_offers().eq(Catalogue::builtin().all_offers()), "a clone has its own");

    after.set_region(&provider, &region, Vec::<Offer>::new());
    assert!(after.regions().all(|found| found != (&provider, &region)));
    assert_eq!(after.regions().count() + 1, before.regions().count());
    after.set_region(&provider, &region, before.offers(&provider, &region).cloned());
    assert!(after.all_offers().eq(before.all_offers()));
}

#[test]
fn forty_thousand_rows_answer_as_a_scan_does() {
    let Some(text) = shared("aws_vms.csv") else { return };
    let defaults = Defaults {
        provider: "ec2".parse().unwrap(),
        priced_at: Timestamp(0),
        source: "aws_vms.csv".to_owned(),
    };
    let catalogue = Catalogue::parse_csv(&text, &defaults).unwrap();
    assert_eq!(text.lines().count(), 42_021);
    assert_eq!(catalogue.regions().count(), 30);
    assert!(check_against_scan(&catalogue) > 800);
}
