//! Copies of one item over several sites: every site says what each number of them costs there, and the least sum is found by
//! adding one site after the other (a min-plus convolution).

use super::cover::NEVER;

/// The least cost of so many copies over all sites.
pub(super) struct Spread {
    /// By sites and copies: how many of them are at the last of these sites.
    here: Vec<Vec<u32>>,
    cost: Vec<i64>,
}

impl Spread {
    /// No site yet: nothing but nothing can be placed.
    pub(super) fn new(copies: u32) -> Self {
        let mut cost = vec![NEVER; copies as usize + 1];
        cost[0] = 0;
        Self { here: Vec::new(), cost }
    }

    /// Adds a site with its cost for every number of copies, from none.
    pub(super) fn add(&mut self, site: &[i64]) {
        let most = self.cost.len() - 1;
        let (mut cost, mut here) = (self.cost.clone(), vec![0; most + 1]);
        for copies in 1..=most {
            for (h, price) in (1..=copies).zip(&site[1..]) {
                if *price >= NEVER {
                    continue;
                }
                let sum = self.cost[copies - h] + price;
                if sum < cost[copies] {
                    (cost[copies], here[copies]) = (sum, u32::try_from(h).unwrap_or(u32::MAX));
                }
            }
        }
        self.cost = cost;
        self.here.push(here);
    }

    /// The cost of every number of copies, from none.
    pub(super) fn costs(&self) -> &[i64] {
        &self.cost
    }

    /// As many copies as can be placed, by site.
    pub(super) fn most(&self) -> Vec<u32> {
        let copies = (0..self.cost.len()).rev().find(|c| self.cost[*c] < NEVER).unwrap_or(0);
        self.places(u32::try_from(copies).unwrap_or(u32::MAX))
    }

    /// So many copies, which can be placed, by site.
    pub(super) fn places(&self, copies: u32) -> Vec<u32> {
        let mut copies = copies as usize;
        let mut counts = vec![0; self.here.len()];
        for (count, here) in counts.iter_mut().zip(&self.here).rev() {
            *count = here[copies];
            copies -= here[copies] as usize;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_go_where_all_of_them_cost_least() {
        let mut spread = Spread::new(3);
        spread.add(&[0, 5, 9, NEVER]);
        spread.add(&[0, 6, 7, 30]);
        assert_eq!(spread.most(), [1, 2]);
        let mut spread = Spread::new(3);
        spread.add(&[0, 5, NEVER, NEVER]);
        assert_eq!(spread.most(), [1], "what does not fit is left out");
    }
}
