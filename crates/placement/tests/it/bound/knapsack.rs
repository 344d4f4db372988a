//! The best content of one machine: what its copies are worth to the bound, less what they cost. A bounded knapsack with two
//! resources, by branch and bound with Lagrangian multipliers (Martello and Toth, "Knapsack Problems", 1990, §3.6).

use kato_core::Resources;

/// Copies that may be on the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Which item.
    pub(super) item: usize,
    /// What one is worth.
    pub(super) gain: i64,
    pub(super) request: Resources,
    /// The most of them.
    pub(super) most: u32,
}

/// The best content that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Content {
    pub(super) gain: i64,
    /// Items with copies.
    pub(super) load: Vec<(usize, u32)>,
    /// No content is worth more than this.
    pub(super) gain_max: i64,
}

/// Steps after which the search ends, and says only what no content can be worth more than.
const STEPS_MAX: u32 = 20_000;
/// What is worth no more than this part of the price beyond what is known is not looked at.
const NEAR: i64 = 20_000;

/// The best content of a machine with so much room for so many copies, if it is worth more than `floor`: else nobody asks.
pub(super) fn best(pieces: &[Piece], room: Resources, slots: u32, floor: i64) -> Content {
    let mut pieces: Vec<Piece> =
        pieces.iter().filter_map(|piece| worthwhile(piece, room)).collect();
    let (_, multipliers) = Multipliers::least(&pieces, room);
    // What is worth most for its size first, so that good contents come early.
    let density = |piece: &Piece| float(piece.gain) / multipliers.price(piece.request).max(1e-9);
    pieces.sort_by(|a, b| density(b).total_cmp(&density(a)));
    let mut rest = vec![0.0; pieces.len() + 1];
    for (index, piece) in pieces.iter().enumerate().rev() {
        rest[index] = rest[index + 1] + multipliers.worth(piece).max(0.0) * f64::from(piece.most);
    }
    let counts = vec![0; pieces.len()];
    let mut search = Search {
        pieces: &pieces,
        multipliers,
        rest,
        counts,
        floor,
        best: Content::default(),
        left_out: 0,
        steps: 0,
    };
    let open = search.bound(0, 0, room);
    if open > floor {
        search.fill(0, 0, (room, slots));
    }
    let known = search.best.gain.max(floor).max(search.left_out);
    Content { gain_max: known.min(open), ..search.best }
}

fn worthwhile(piece: &Piece, room: Resources) -> Option<Piece> {
    let most = piece.most.min(room.holds(piece.request));
    (piece.gain > 0 && most > 0).then_some(Piece { most, ..*piece })
}

/// What a unit of each resource is worth.
#[derive(Debug, Clone, Copy)]
struct Multipliers([f64; 2]);

impl Multipliers {
    /// Those with which the bound is least. They lie where two of the lines cross on which a piece is worth just what it
    /// takes, or on which a resource is worth nothing.
    fn least(pieces: &[Piece], room: Resources) -> (f64, Self) {
        let mut lines: Vec<([f64; 2], f64)> = vec![([1.0, 0.0], 0.0), ([0.0, 1.0], 0.0)];
        lines.extend(pieces.iter().map(|piece| (sizes(piece.request), float(piece.gain))));
        let mut least = (f64::INFINITY, Self([0.0, 0.0]));
        for (index, (a, gain_a)) in lines.iter().enumerate() {
            for (b, gain_b) in &lines[..index] {
                let determinant = a[0] * b[1] - a[1] * b[0];
                let cross = [gain_a * b[1] - gain_b * a[1], a[0] * gain_b - b[0] * gain_a];
                let at = cross.map(|axis| axis / determinant);
                if at.iter().all(|axis| axis.is_finite() && *axis >= 0.0) {
                    let multipliers = Self(at);
                    let worth =
                        |piece: &Piece| multipliers.worth(piece).max(0.0) * f64::from(piece.most);
                    let bound = multipliers.price(room) + pieces.iter().map(worth).sum::<f64>();
                    if bound < least.0 {
                        least = (bound, multipliers);
                    }
                }
            }
        }
        least
    }

    fn price(self, request: Resources) -> f64 {
        let [cpu, memory] = sizes(request);
        self.0[0] * cpu + self.0[1] * memory
    }

    /// What a piece is worth beyond the resources that it takes.
    fn worth(self, piece: &Piece) -> f64 {
        float(piece.gain) - self.price(piece.request)
    }
}

struct Search<'a> {
    pieces: &'a [Piece],
    multipliers: Multipliers,
    /// What all pieces from here on are worth at the most, beyond the resources that they take.
    rest: Vec<f64>,
    counts: Vec<u32>,
    floor: i64,
    best: Content,
    /// What was not looked at is worth no more.
    left_out: i64,
    steps: u32,
}

impl Search<'_> {
    /// No content with this beginning is worth more.
    fn bound(&self, index: usize, gain: i64, room: Resources) -> i64 {
        let more = self.multipliers.price(room) + self.rest[index];
        gain.saturating_add(whole(more))
    }

    fn fill(&mut self, index: usize, gain: i64, (room, slots): (Resources, u32)) {
        self.steps += 1;
        if gain > self.best.gain {
            let counted = self.pieces.iter().zip(&self.counts[..index]);
            let load = counted.filter(|(_, copies)| **copies > 0);
            self.best.load = load.map(|(piece, copies)| (piece.item, *copies)).collect();
            self.best.gain = gain;
        }
        let Some(piece) = self.pieces.get(index) else { return };
        let most = piece.most.min(room.holds(piece.request)).min(slots);
        let fewer_is_worse = self.multipliers.worth(piece) >= 0.0;
        for copies in (0..=most).rev() {
            let left = room - piece.request.times(copies);
            let gain = gain + piece.gain * i64::from(copies);
            let known = self.best.gain.max(self.floor);
            let bound = self.bound(index + 1, gain, left);
            if bound <= known && fewer_is_worse {
                break;
            }
            let (rest, _) = Multipliers::least(&self.pieces[index + 1..], left);
            let bound = bound.min(whole(rest).saturating_add(gain));
            if bound <= known {
                continue;
            }
            if bound <= known + self.floor / NEAR || self.steps >= STEPS_MAX {
                self.left_out = self.left_out.max(bound);
                continue;
            }
            self.counts[index] = copies;
            self.fill(index + 1, gain, (left, slots - copies));
        }
    }
}

/// No less than this, whatever floats lose: they are exact to less than a unit here.
#[allow(clippy::cast_possible_truncation)]
fn whole(amount: f64) -> i64 {
    (amount.ceil() as i64).saturating_add(1)
}

/// Processors, and memory in gibibytes.
#[allow(clippy::cast_precision_loss)] // far below what a float counts exactly
fn sizes(request: Resources) -> [f64; 2] {
    [request.cpu_millis as f64 / 1_000.0, request.memory_bytes as f64 / 1_073_741_824.0]
}

#[allow(clippy::cast_precision_loss)]
pub(super) fn float(amount: i64) -> f64 {
    amount as f64
}
