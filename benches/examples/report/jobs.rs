//! What the report shows, in its order, and why a peer is faster where one is.

/// A group of rows that do the same job.
pub(crate) struct Job {
    pub(crate) name: &'static str,
    /// Whether the chart shows it, and by what short name.
    pub(crate) chart: Option<&'static str>,
}

const fn job(name: &'static str) -> Job {
    Job { name, chart: None }
}

const fn shown(name: &'static str, chart: &'static str) -> Job {
    Job { name, chart: Some(chart) }
}

pub(crate) const JOBS: [Job; 24] = [
    shown("breaker closed, failures in a row", "breaker closed"),
    job("breaker closed, failures in a row, around a future"),
    shown("breaker open, refused", "breaker open"),
    job("breaker closed, half of the last 100 calls"),
    shown("breaker closed, half of the calls of 10 s", "breaker closed, rate over 10 s"),
    shown("token bucket granted", "token bucket granted"),
    shown("token bucket denied", "token bucket denied"),
    job("token bucket granted, by the time stamp counter"),
    job("token bucket denied, by the time stamp counter"),
    job("token bucket granted, at a given time"),
    job("keyed, 1 of 10^3"),
    job("keyed, 1000 of 10^3"),
    job("keyed, 1 of 10^6"),
    job("keyed, 1000000 of 10^6"),
    shown("semaphore, permit and release", "semaphore: permit, release"),
    job("semaphore, handed to a task that waits"),
    job("ten delays"),
    job("ten delays with jitter"),
    job("retry, succeeds at once"),
    job("pipeline of bulkhead, retry and breaker"),
    shown("pipeline of deadline, bulkhead, retry, breaker and timeout", "pipeline of five"),
    job("layer of a closed breaker"),
    job("layer of so many at once"),
    job("layer of so many a second"),
];

/// Why a peer may be faster than the best of ours: the job, the peer, the reason.
const WHY: [(&str, &str, &str); 16] = [
    (
        "breaker closed, half of the last 100 calls",
        "recloser",
        "it has a spin lock around one bit for each call; but whoever has it and is interrupted stops all \
         others. Ours counts without a lock, by one read-modify-write as well, tells slow calls, and adds up \
         its ten buckets at each call",
    ),
    ("token bucket granted", "governor", LIVE),
    ("token bucket granted", "better-bucket", LIVE),
    ("token bucket granted, by the time stamp counter", "governor", LIVE),
    ("token bucket granted, at a given time", "governor", LIVE),
    ("token bucket denied", "governor", WHEN),
    ("token bucket denied, by the time stamp counter", "governor", WHEN),
    (
        "token bucket granted",
        "leaky-bucket",
        "it reads no clock while it has tokens left, and adds them in steps once it has none",
    ),
    ("semaphore, handed to a task that waits", "", QUEUE),
    ("keyed, 1 of 10^3", "governor", BOUND),
    ("keyed, 1000 of 10^3", "governor", BOUND),
    ("keyed, 1 of 10^6", "governor", BOUND),
    ("keyed, 1000000 of 10^6", "governor", BOUND),
    (
        "retry, succeeds at once",
        "seatbelt",
        "its policy is made once, with the service; ours is handed over with each call",
    ),
    (
        "retry, succeeds at once",
        "backon",
        "our future is larger, 384 bytes and backon's 256: it keeps a deadline, a classifier, a budget and \
         a hook, and is set up before it is known that nothing fails",
    ),
    (
        "layer of so many a second",
        "tower",
        "it belongs to one service, which cannot be cloned, and counts in plain fields; ours is one limit for \
         all clones and all threads, by one compare-and-swap",
    ),
];

const LIVE: &str = "its limits are fixed; ours can change while it runs, so each call looks up which are in \
                    force. A late reading of the clock is told from a wrap of it, too";
const WHEN: &str = "it works out when to come back only if asked; our rejection says it always. And before it \
                    refuses, it looks again, lest it has mixed limits that change meanwhile";
const BOUND: &str = "its map has no bound; ours never holds more keys than it was told. Clock, hash and lock take \
                     both the same; ours also looks whether the key has limits of its own. The row that says \
                     only governor reads the time stamp counter";
const QUEUE: &str = "its queue is a plain list under a lock; ours is lock-free, with a word for each place, \
                     all of which are looked through for the oldest";

/// The reason, or that there is none yet: so that it is seen and given.
pub(crate) fn why(job: &str, peer: &str) -> &'static str {
    let found = WHY.iter().find(|(of, by, _)| *of == job && peer.starts_with(by));
    found.map_or("why is not known", |(_, _, why)| why)
}
