//! What happens in which round: all of it follows from the seed.

use std::fmt;

use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus, seq::SliceRandom as _};

use super::{act::Act, fault::Fault};

/// The size of a run and where its luck comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where all draws begin.
    pub seed: u64,
    /// How many commands are run.
    pub rounds: usize,
    /// How many faults hit each of them.
    pub faults: usize,
}

/// One round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Round {
    /// What skiff is asked to do.
    pub(super) act: Act,
    /// When the fault happens, as a part of the time that the command usually takes.
    pub(super) moment: f64,
    /// What happens then.
    pub(super) fault: Fault,
    /// Which one, where there are several to choose from.
    pub(super) pick: usize,
}

impl Plan {
    /// The short run: few rounds, and yet each of the faults that a cluster must survive.
    pub const SHORT: Self = Self { seed: 6, rounds: 4, faults: 2 };

    /// All rounds, each a list of faults that hit one command.
    pub(super) fn rounds(&self) -> Vec<Vec<Round>> {
        let mut luck = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let (mut acts, mut faults) = (Deck::of(&[&Act::ALL]), Deck::of(&[&Fault::CLASSIC, &Fault::OTHERS]));
        let mut round = || {
            let act = acts.draw(&mut luck);
            let mut hits: Vec<_> = (0..self.faults.max(1))
                .map(|_| Round {
                    act,
                    moment: luck.random_range(0.0..1.0),
                    fault: faults.draw(&mut luck),
                    pick: luck.random_range(0..1000),
                })
                .collect();
            hits.sort_by(|one, other| one.moment.total_cmp(&other.moment));
            hits
        };
        (0..self.rounds).map(|_| round()).collect()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, rounds, faults } = self;
        write!(f, "SKIFF_CHAOS_SEED={seed} SKIFF_CHAOS_ROUNDS={rounds} SKIFF_CHAOS_FAULTS={faults} draws this again")
    }
}

/// Suits of cards, one suit after the other, each in a random order; shuffled again when all are drawn.
struct Deck<T> {
    suits: Vec<Vec<T>>,
    left: Vec<T>,
}

impl<T: Copy> Deck<T> {
    fn of(suits: &[&[T]]) -> Self {
        Self { suits: suits.iter().map(|suit| suit.to_vec()).collect(), left: Vec::new() }
    }

    fn draw(&mut self, luck: &mut Xoshiro256PlusPlus) -> T {
        if self.left.is_empty() {
            self.suits.iter_mut().for_each(|suit| suit.shuffle(luck));
            self.left = self.suits.concat();
            self.left.reverse();
        }
        self.left.pop().expect("a suit with cards")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_means_the_same_rounds() {
        let plan = |seed| Plan { seed, rounds: 100, faults: 1 }.rounds();
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
    }

    #[test]
    fn no_fault_waits_for_long() {
        let all = [&Fault::CLASSIC[..], &Fault::OTHERS[..]].concat();
        let rounds = Plan { seed: 1, rounds: 2 * all.len(), faults: 1 }.rounds();
        for fault in all {
            assert_eq!(rounds.iter().flatten().filter(|round| round.fault == fault).count(), 2, "{fault:?}");
        }
    }

    #[test]
    fn the_short_run_meets_each_of_the_classic_faults() {
        let rounds = Plan::SHORT.rounds();
        for fault in Fault::CLASSIC {
            assert!(rounds.iter().flatten().any(|round| round.fault == fault), "{fault:?} is not in {rounds:#?}");
        }
    }
}
