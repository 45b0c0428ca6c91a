//! Races for switches, and for a gate in shadow mode.

use fusebox_core::{Gate, Ratio, Semaphore, Shadow, Switch, Switches};

use crate::answer;
use crate::explore::Case;
use crate::race::Race;

pub(crate) const CASES: &[Case] = &[
    Case::new("switch: a hand and a breaker turn it", two_hands),
    Case::new("switch: its share changes as it is turned off", share),
    Case::twice("switch: two calls as another one is let in by share", calls_by_share),
    Case::new("switch: two flags of one word are turned", two_flags),
    Case::new("shadow: two calls that would be refused", spared),
    Case::new("shadow: a call as the shadow is lifted", enforced),
];

/// Whether it is on, what was set by hand, and its share in percent.
fn left(switch: &Switch) -> [u32; 3] {
    let now = switch.snapshot();
    let hand = now.by_hand.map_or(0, |on| 1 + u32::from(on));
    let share = now.share.numerator() * 100 / now.share.denominator();
    [u32::from(now.enabled), hand | u32::from(now.driven_off) << 4, share]
}

fn two_hands(race: &mut Race) {
    let switch = Switch::new();
    let force_on = || {
        switch.force_on();
        0
    };
    race.run([&mut { force_on }], &mut || {
        switch.drive(true);
        0
    });
    let now = switch.snapshot();
    race.end(now.enabled && now.driven_off && now.by_hand == Some(true), left(&switch));
}

fn share(race: &mut Race) {
    let switch = Switch::new();
    race.run([&mut || u32::from(switch.set_share(Ratio::percent(30)).is_err())], &mut || {
        switch.disable();
        0
    });
    let now = switch.snapshot();
    race.end(!now.enabled && now.share == Ratio::new(3_000, 10_000), left(&switch));
}

/// Of three calls in a row, half are two or one.
fn calls_by_share(race: &mut Race) {
    let switch = Switch::new();
    let _ = switch.set_share(Ratio::percent(50));
    race.run([&mut || answer(switch.enter())], &mut || answer(switch.enter()));
    race.end((1..=2).contains(&race.let_in()), left(&switch));
}

fn two_flags(race: &mut Race) {
    let switches = Switches::new();
    let (own, other) = (switches.at::<3>(), switches.at::<4>());
    let disable = || {
        own.disable();
        0
    };
    race.run([&mut { disable }], &mut || {
        other.disable();
        0
    });
    let all = switches.all();
    race.end(all == !(0b11 << 3), [all, 0, 0]);
}

fn spared(race: &mut Race) {
    let shadow: Shadow<Semaphore> = const { Shadow::new(Semaphore::new(1)) };
    let _taken = shadow.enter();
    let enter = || answer(shadow.enter().map(drop));
    race.run([&mut { enter }], &mut { enter });
    let spared = shadow.spared() as u32;
    race.end(race.let_in() == 2 && spared == 2, [spared, 0, 0]);
}

fn enforced(race: &mut Race) {
    let shadow: Shadow<Semaphore> = const { Shadow::new(Semaphore::new(1)) };
    let _taken = shadow.enter();
    race.run([&mut || answer(shadow.enter().map(drop))], &mut || {
        shadow.enforce();
        u32::MAX
    });
    let spared = shadow.spared() as u32;
    race.end(race.let_in() == spared as usize, [spared, u32::from(shadow.is_enforced()), 0]);
}
