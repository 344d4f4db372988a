//! For any items: what is placed fits where it is and may be there, costs what is said, and one item alone costs the least
//! that is possible.

use kato_core::{Arch, Resources, SpotPolicy};
use kato_placement::Site;
use kato_placement::catalogue::{Catalogue, Wanted};
use kato_placement::pack::{FINE, Item, Level, Packed, Stalls, pack};
use proptest::prelude::*;

use crate::bound;
use crate::optimum;
use crate::properties::{any_offers, any_sites};

fn any_item(sites: usize) -> impl Strategy<Value = Item> {
    let beside = prop::option::weighted(0.8, 0i64..=40);
    let spot =
        prop::sample::select(vec![SpotPolicy::Never, SpotPolicy::Allowed, SpotPolicy::Required]);
    let what = (0u64..=4, 0u64..=4, 1u32..=5, spot, prop::option::weighted(0.3, 0u32..=3));
    let groups = prop::collection::vec(0..sites.max(1), sites);
    (what, prop::collection::vec(beside, sites), groups).prop_map(move |(what, at, groups)| {
        let (cpu, gib, copies, spot, most) = what;
        Item {
            request: Resources::new(cpu * 500, gib * 512),
            copies,
            wanted: Wanted::new(spot, Arch::X86_64),
            at: at.into_iter().map(|at| Some(at? * 1_000 * FINE)).collect(),
            levels: most
                .map(|most| Level { group: groups, most: vec![most; sites], excess: None })
                .into_iter()
                .collect(),
            price_max: None,
            rank: 0,
        }
    })
}

fn any_problem() -> impl Strategy<Value = (Vec<Site>, Vec<Item>)> {
    any_sites().prop_flat_map(|sites| {
        let items = prop::collection::vec(any_item(sites.len()), 1..=3);
        (Just(sites), items)
    })
}

/// Nothing is broken that must hold of every answer.
fn check(items: &[Item], sites: &[Site], packed: &Packed) {
    let mut cost = 0;
    let mut placed = vec![vec![0; sites.len()]; items.len()];
    let mut machines = std::collections::BTreeSet::new();
    for used in &packed.used {
        let site = &sites[used.stall];
        let (room, price) = match used.machine {
            None => (used.offer.capacity, used.offer.price_micros_per_hour),
            Some(index) => {
                let room = &site.machines[index];
                assert!(machines.insert((used.stall, index)), "a machine is given once");
                assert_eq!(room.offer, used.offer);
                (room.free, room.adds)
            }
        };
        assert_eq!(used.price, price);
        assert!(!used.load.is_empty());
        cost += price.0 * FINE;
        let mut request = Resources::NONE;
        for (item, copies) in &used.load {
            placed[*item][used.stall] += copies;
            let item = &items[*item];
            request = request + item.request.times(*copies);
            cost += item.at[used.stall].expect("it may be there") * i64::from(*copies);
            assert!(item.wanted.admits(&used.offer));
        }
        assert!(request.fits(room), "{request} on {room}");
    }
    for (index, site) in sites.iter().enumerate() {
        let bought =
            packed.used.iter().filter(|used| used.stall == index && used.machine.is_none());
        assert!(bought.count() <= site.machines_to_buy_max as usize);
    }
    for ((item, sites), unplaced) in items.iter().zip(&placed).zip(&packed.unplaced) {
        assert_eq!(sites.iter().sum::<u32>() + unplaced, item.copies);
        for level in &item.levels {
            for (group, most) in level.most.iter().enumerate() {
                let counts = level.group.iter().zip(sites).filter(|(of, _)| **of == group);
                assert!(counts.map(|(_, copies)| copies).sum::<u32>() <= *most);
            }
        }
    }
    assert_eq!(packed.cost, cost);
}

proptest! {
    #[test]
    fn what_is_packed_fits_and_may_be_there(
        offers in any_offers(),
        (sites, items) in any_problem(),
    ) {
        let catalogue = Catalogue::new(offers);
        let packed = pack(&items, &Stalls::whole(&sites), &catalogue);
        check(&items, &sites, &packed);
        prop_assert_eq!(&packed, &pack(&items, &Stalls::whole(&sites), &catalogue), "it is the same again");
    }

    #[test]
    fn one_item_costs_the_least_that_is_possible(
        offers in any_offers(),
        (mut sites, mut items) in any_problem(),
    ) {
        items.truncate(1);
        items[0].levels.clear();
        for site in &mut sites {
            site.machines_to_buy_max = 100;
        }
        let catalogue = Catalogue::new(offers);
        let packed = pack(&items, &Stalls::whole(&sites), &catalogue);
        check(&items, &sites, &packed);
        let least = optimum::least(&items, &sites, &catalogue);
        let all = packed.unplaced == [0];
        prop_assert_eq!(all.then_some(packed.cost), least);
    }

    #[test]
    fn several_items_are_all_placed_where_that_is_possible(
        offers in any_offers(),
        (mut sites, mut items) in any_problem(),
    ) {
        for item in &mut items {
            item.levels.clear();
        }
        for site in &mut sites {
            site.machines.clear();
            site.machines_to_buy_max = 100;
        }
        let catalogue = Catalogue::new(offers);
        let packed = pack(&items, &Stalls::whole(&sites), &catalogue);
        let least = optimum::least(&items, &sites, &catalogue);
        let all = packed.unplaced.iter().all(|copies| *copies == 0);
        prop_assert_eq!(all, least.is_some());
        prop_assert!(!all || Some(packed.cost) >= least);
    }

    /// The bound that the report compares large problems with, where the least is known.
    #[test]
    fn the_bound_is_never_more_than_the_least(
        offers in any_offers(),
        (mut sites, mut items) in any_problem(),
    ) {
        for item in &mut items {
            item.levels.clear();
        }
        for site in &mut sites {
            site.machines_to_buy_max = 100;
        }
        let catalogue = Catalogue::new(offers);
        if let Some(least) = optimum::least(&items, &sites, &catalogue) {
            let found = bound::bound(&items, &sites, &catalogue, (i64::MAX, 20));
            prop_assert!(found.relaxed <= found.least, "{found:?}");
            prop_assert!(found.nodes > 0 && found.least <= least, "{found:?} beside {least}");
            let again = bound::bound(&items, &sites, &catalogue, (least, 200));
            prop_assert!(again.least <= least, "{again:?} beside {least}");
            if let Some((cost, _)) = bound::rounded(&items, &sites, &catalogue) {
                prop_assert!(cost >= least, "rounded {cost} beside {least}");
            }
            prop_assert_eq!(bound::bought(&items, &sites, &catalogue).is_empty(), items.iter().all(|item| item.copies == 0));
        }
    }
}
