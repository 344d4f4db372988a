//! The least that a site takes for room for so many copies of one item: bins that are open cost nothing, others their
//! price once, and machines on sale may be had again and again. A covering knapsack (Kellerer, Pferschy and Pisinger,
//! "Knapsack Problems", 2004, §1.2), solved by dynamic programming over the number of copies.

/// What cannot be had.
pub(super) const NEVER: i64 = i64::MAX / 4;

/// A machine that runs and is not used yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idle {
    /// How many copies it takes, 1 at least.
    pub(super) takes: u32,
    /// What it costs to use it.
    pub(super) price: i64,
    /// Which bin it is.
    pub(super) bin: usize,
}

/// What one site has for an item.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// Copies that the open bins take.
    pub(super) open: u32,
    /// Machines that run and are not used.
    pub(super) idle: Vec<Idle>,
    /// The price of the cheapest machine on sale that takes so many copies: first of one that takes one, and as far as
    /// anything is sold.
    pub(super) on_sale: Vec<i64>,
    /// How many machines may be bought.
    pub(super) buy_max: u32,
}

/// The least price of room for every number of copies.
#[derive(Debug)]
pub(super) struct Cover {
    /// By copies, from none.
    pub(super) price: Vec<i64>,
    open: usize,
    idle: Vec<Idle>,
    used: Vec<Vec<bool>>,
    /// How many of so many copies go on machines that are bought.
    bought: Vec<usize>,
    buying: Buying,
}

/// What is taken beside the open bins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Bins of machines that run.
    pub(super) idle: Vec<usize>,
    /// For each machine that is bought, the copies that it must take.
    pub(super) bought: Vec<u32>,
}

impl Cover {
    /// For up to `copies`.
    pub(super) fn new(stock: Stock, copies: u32) -> Self {
        let most = copies as usize;
        let buying = Buying::new(&stock, most);
        let sizes = stock.on_sale.len();
        let idle = worth_a_look(stock.idle, copies);
        let mut used = Vec::with_capacity(idle.len());
        let mut by_idle = vec![NEVER; most + 1];
        by_idle[0] = 0;
        for machine in &idle {
            let mut takes = vec![false; most + 1];
            for c in (1..=most).rev() {
                let with = by_idle[c.saturating_sub(machine.takes as usize)] + machine.price;
                if with < by_idle[c] {
                    (by_idle[c], takes[c]) = (with, true);
                }
            }
            used.push(takes);
        }
        let (mut price, mut bought) = (vec![0; most + 1], vec![0; most + 1]);
        let open = stock.open as usize;
        for c in open + 1..=most {
            let needed = c - open;
            // The first of equals: as many as can be on what is there.
            let both = |b: usize| (buying.price[b] + by_idle[needed.saturating_sub(b)], b);
            let (least, b) = (0..=needed.max(sizes.min(c))).map(both).min().unwrap_or((NEVER, 0));
            (price[c], bought[c]) = (least.min(NEVER), b);
        }
        Self { price, open, idle, used, bought, buying }
    }

    /// What gives room for so many.
    pub(super) fn taken(&self, copies: usize) -> Taken {
        let bought = self.bought[copies];
        let mut left = copies.saturating_sub(self.open).saturating_sub(bought);
        let mut taken = Taken { idle: Vec::new(), bought: self.buying.sizes(bought) };
        for (machine, used) in self.idle.iter().zip(&self.used).rev() {
            if used[left] {
                taken.idle.push(machine.bin);
                left = left.saturating_sub(machine.takes as usize);
            }
        }
        taken
    }
}

/// Of machines that take as many, no more than could be used, the cheapest.
fn worth_a_look(mut idle: Vec<Idle>, copies: u32) -> Vec<Idle> {
    for machine in &mut idle {
        machine.takes = machine.takes.min(copies);
    }
    idle.sort_unstable();
    let (mut alike, mut before) = (0, 0);
    idle.retain(|machine| {
        alike = if machine.takes == before { alike + 1 } else { 1 };
        before = machine.takes;
        alike <= copies.div_ceil(machine.takes)
    });
    idle
}

/// The least price of buying room for every number of copies.
#[derive(Debug)]
struct Buying {
    price: Vec<i64>,
    /// The copies on one of the machines, by how many may be bought and copies; 0 for fewer machines. One row alone
    /// where as many may be bought as there are copies.
    sizes: Vec<Vec<u32>>,
    limited: bool,
}

impl Buying {
    fn new(stock: &Stock, most: usize) -> Self {
        let limited = (stock.buy_max as usize) < most;
        let mut price = vec![NEVER; most + 1];
        price[0] = 0;
        let mut sizes = vec![vec![0; most + 1]];
        for _ in 0..if limited { stock.buy_max } else { 1 } {
            let mut row = vec![0; most + 1];
            let mut with = price.clone();
            for c in 1..=most {
                for (size, sold) in (1..=c).zip(&stock.on_sale) {
                    let before = if limited { price[c - size] } else { with[c - size] };
                    if before + sold < with[c] {
                        (with[c], row[c]) =
                            (before + sold, u32::try_from(size).unwrap_or(u32::MAX));
                    }
                }
            }
            price = with;
            sizes.push(row);
        }
        Self { price, sizes, limited }
    }

    fn sizes(&self, mut copies: usize) -> Vec<u32> {
        let (mut sizes, mut row) = (Vec::new(), self.sizes.len() - 1);
        while copies > 0 {
            let size = self.sizes[row][copies];
            if size > 0 {
                sizes.push(size);
                copies -= size as usize;
            }
            if self.limited || size == 0 {
                row -= 1;
            }
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(bin: usize, takes: u32, price: i64) -> Idle {
        Idle { takes, price, bin }
    }

    #[test]
    fn what_is_open_costs_nothing_and_what_runs_comes_before_what_is_bought() {
        let stock =
            Stock { open: 2, idle: vec![idle(7, 1, 10)], on_sale: vec![10, 15], buy_max: 9 };
        let cover = Cover::new(stock, 5);
        assert_eq!(cover.price, [0, 0, 0, 10, 15, 25]);
        assert_eq!(cover.taken(2), Taken::default());
        assert_eq!(cover.taken(3), Taken { idle: vec![7], bought: vec![] });
        assert_eq!(cover.taken(5), Taken { idle: vec![7], bought: vec![2] });
    }

    #[test]
    fn no_more_is_bought_than_may_be() {
        let on_sale = vec![10, 19, 40];
        let stock = |buy_max| Stock { on_sale: on_sale.clone(), buy_max, ..Stock::default() };
        assert_eq!(Cover::new(stock(9), 4).price, [0, 10, 19, 29, 38]);
        assert_eq!(Cover::new(stock(2), 7).price, [0, 10, 19, 29, 38, 59, 80, NEVER]);
        assert_eq!(Cover::new(stock(2), 5).taken(5).bought.iter().sum::<u32>(), 5);
        assert_eq!(Cover::new(stock(0), 1).price, [0, NEVER]);
    }
}
