//! Copies of one item, placed beside all that is placed: divided among the stalls, exactly where the limits on what is together lie
//! within each other (cells in zones in datacenters), and one copy after the other where they do not.

use std::collections::BTreeMap;

use super::cover::{Cover, NEVER};
use super::spread::Spread;
use super::yard::Yard;
use super::{Item, Level};

/// What is together at some level, and how copies are divided among its parts.
struct Node {
    spread: Spread,
    parts: Vec<Part>,
}

enum Part {
    Node(Node),
    Stall(usize, Cover),
}

impl Item {
    /// The levels from the widest to the narrowest, if each lies within the one before.
    pub(super) fn nested(&self) -> Option<Vec<usize>> {
        let mut order: Vec<usize> = (0..self.levels.len()).collect();
        order.sort_by_key(|level| self.levels[*level].count());
        let nested = order.windows(2).all(|pair| {
            let (wide, narrow) = (&self.levels[pair[0]], &self.levels[pair[1]]);
            let mut within: BTreeMap<usize, usize> = BTreeMap::new();
            let mut groups = narrow.group.iter().zip(&wide.group);
            groups.all(|(narrow, wide)| within.entry(*narrow).or_insert(*wide) == wide)
        });
        nested.then_some(order)
    }
}

impl Level {
    fn count(&self) -> usize {
        self.group.iter().max().map_or(0, |most| most + 1)
    }

    /// The most in a group.
    fn most_in(&self, group: usize) -> u32 {
        self.most.get(group).copied().unwrap_or(u32::MAX)
    }

    /// What so many copies in a group cost beyond its most.
    pub(super) fn penalty(&self, group: usize, copies: u32) -> i64 {
        let beyond = i64::from(copies.saturating_sub(self.most_in(group)));
        self.excess.map_or(0, |excess| excess.saturating_mul(beyond))
    }

    /// How many more copies than there are may be in a group, if there is an end to them.
    fn left_in(&self, group: usize, here: u32) -> Option<u32> {
        self.excess.is_none().then(|| self.most_in(group).saturating_sub(here))
    }
}

impl Yard<'_> {
    /// Places copies of an item where they cost least beside all that is placed; what fits nowhere is noted.
    pub(super) fn add(&mut self, item: usize, mut copies: u32) {
        let Some(nested) = self.items[item].nested() else {
            return self.add_one_by_one(item, copies);
        };
        let stalls: Vec<usize> = (0..self.items[item].at.len()).collect();
        while copies > 0 {
            let node = self.node(item, &nested, &stalls, copies.min(self.chunk));
            let most = node.spread.most();
            let placed = self.put_node(item, node, most);
            copies -= placed;
            if placed == 0 {
                self.layout.unplaced[item] += copies;
                return;
            }
        }
    }

    /// Places one copy after the other, each where it costs least then.
    fn add_one_by_one(&mut self, item: usize, mut copies: u32) {
        let levels = &self.items[item].levels;
        let count = |level: usize| {
            (0..levels[level].count()).map(|group| self.copies_in(item, level, group)).collect()
        };
        let mut counts: Vec<Vec<u32>> = (0..levels.len()).map(count).collect();
        while copies > 0 {
            let best = (0..self.items[item].at.len()).filter_map(|stall| {
                let at = self.items[item].at[stall]?;
                let surcharge = self.surcharge(item, stall, &counts)?;
                let cover = Cover::new(self.stock(stall, item, 1), 1);
                let cost = cover.price[1].saturating_add(at).saturating_add(surcharge);
                (cover.price[1] < NEVER).then_some((cost, stall, cover))
            });
            let Some((_, stall, cover)) = best.min_by_key(|(cost, stall, _)| (*cost, *stall))
            else {
                self.layout.unplaced[item] += copies;
                return;
            };
            self.put(stall, item, 1, &cover);
            for (level, counts) in self.items[item].levels.iter().zip(&mut counts) {
                counts[level.group[stall]] += 1;
            }
            copies -= 1;
        }
    }

    /// Whether a limit of an item allows no further copy at a stall.
    pub(super) fn is_full(&self, item: usize, level: usize, stall: usize) -> bool {
        let limit = &self.items[item].levels[level];
        let group = limit.group[stall];
        limit.left_in(group, self.copies_in(item, level, group)) == Some(0)
    }

    /// What one more copy on a stall costs for being with others, at all levels, of which there are so many in each group; none
    /// where a limit forbids it.
    fn surcharge(&self, item: usize, stall: usize, counts: &[Vec<u32>]) -> Option<i64> {
        let mut sum = 0;
        for (level, counts) in self.items[item].levels.iter().zip(counts) {
            let group = level.group[stall];
            let here = counts[group];
            if level.left_in(group, here) == Some(0) {
                return None;
            }
            sum += level.penalty(group, here + 1) - level.penalty(group, here);
        }
        Some(sum)
    }

    /// The ways to divide up to so many copies among stalls, with these levels between.
    fn node(&self, item: usize, levels: &[usize], stalls: &[usize], copies: u32) -> Node {
        let mut node = Node { spread: Spread::new(copies), parts: Vec::new() };
        let wanted = &self.items[item];
        let Some((first, narrower)) = levels.split_first() else {
            for stall in stalls {
                let Some(at) = wanted.at[*stall] else { continue };
                let cover = Cover::new(self.stock(*stall, item, copies), copies);
                let cost = |(copies, price): (i64, &i64)| {
                    price.saturating_add(at.saturating_mul(copies)).min(NEVER)
                };
                let costs: Vec<i64> = (0..).zip(&cover.price).map(cost).collect();
                node.spread.add(&costs);
                node.parts.push(Part::Stall(*stall, cover));
            }
            return node;
        };
        let level = &wanted.levels[*first];
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for stall in stalls.iter().filter(|stall| wanted.at[**stall].is_some()) {
            groups.entry(level.group[*stall]).or_default().push(*stall);
        }
        for (group, members) in groups {
            let here = self.copies_in(item, *first, group);
            let most = level.left_in(group, here).map_or(copies, |left| copies.min(left));
            if most == 0 {
                continue;
            }
            let part = self.node(item, narrower, &members, most);
            let before = level.penalty(group, here);
            let cost = |(copies, cost): (u32, &i64)| {
                cost.saturating_add(level.penalty(group, here + copies) - before).min(NEVER)
            };
            let costs: Vec<i64> = (0..).zip(part.spread.costs()).map(cost).collect();
            node.spread.add(&costs);
            node.parts.push(Part::Node(part));
        }
        node
    }

    /// Puts so many copies where a node has them, and says how many found their place: fewer where two stalls of a cell wanted
    /// the last machine that it may buy.
    fn put_node(&mut self, item: usize, node: Node, counts: Vec<u32>) -> u32 {
        let mut placed = 0;
        for (part, copies) in node.parts.into_iter().zip(counts).filter(|(_, copies)| *copies > 0) {
            placed += match part {
                Part::Node(node) => {
                    let counts = node.spread.places(copies);
                    self.put_node(item, node, counts)
                }
                Part::Stall(stall, cover) => {
                    let buys = cover.taken(copies as usize).bought.len();
                    if buys > self.may_buy(stall) as usize {
                        0
                    } else {
                        self.put(stall, item, copies, &cover);
                        copies
                    }
                }
            };
        }
        placed
    }

    /// How many copies of an item are in a group of one of its levels.
    pub(super) fn copies_in(&self, item: usize, level: usize, group: usize) -> u32 {
        let groups = self.items[item].levels[level].group.iter().enumerate();
        let here = groups.filter(|(_, of)| **of == group).map(|(stall, _)| stall);
        let loads = here.flat_map(|stall| self.layout.bins[stall].iter().flat_map(|bin| &bin.load));
        loads.filter(|(of, _)| *of == item).map(|(_, copies)| copies).sum()
    }

    /// What all items cost for being together beyond their limits.
    pub(super) fn penalties(&self) -> i64 {
        let mut sum = 0;
        for (item, wanted) in self.items.iter().enumerate() {
            let soft = wanted.levels.iter().enumerate().filter(|(_, level)| level.excess.is_some());
            for (index, level) in soft {
                for group in 0..level.count() {
                    sum += level.penalty(group, self.copies_in(item, index, group));
                }
            }
        }
        sum
    }
}
