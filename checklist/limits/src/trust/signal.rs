//! What moves a score. Each signal has a producer that runs: one that nobody makes is not here.

/// Something that a user did, or that was said about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// A request was answered, by a model and not from a cache.
    Good,
    /// A bill of so many dollars was paid.
    Paid(f64),
    /// The operator vouches for the user.
    Vouched,
    /// More than a fifth of the day's requests were wrong: status 4xx other than 429.
    Faulty,
    /// For ten minutes it asked for more than three times what it was let have.
    Pressure,
    /// The operator has found abuse, or a payment was taken back.
    Abuse,
}

/// Units of one answered request.
const GOOD: f64 = 0.05;
/// Units of a dollar that was paid.
const DOLLAR: f64 = 0.1;
/// Units of a promise.
const VOUCHED: f64 = 5.0;
/// Units from which a signal acts at once.
pub const SEVERE: f64 = 10.0;

impl Signal {
    /// Its name in the audit trail.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Good => "good_request",
            Signal::Paid(_) => "paid",
            Signal::Vouched => "vouched",
            Signal::Faulty => "faulty_requests",
            Signal::Pressure => "pressure",
            Signal::Abuse => "abuse",
        }
    }

    /// Its units before caps: more than 0 is good.
    pub fn units(self) -> f64 {
        match self {
            Signal::Good => GOOD,
            Signal::Paid(dollars) if dollars.is_finite() => dollars.max(0.0) * DOLLAR,
            Signal::Paid(_) => 0.0,
            Signal::Vouched => VOUCHED,
            Signal::Faulty => -0.5,
            Signal::Pressure => -1.0,
            Signal::Abuse => -SEVERE,
        }
    }

    /// Most units of a day; none where each counts.
    pub fn day_max(self) -> Option<f64> {
        match self {
            Signal::Good => Some(1.0),
            Signal::Paid(_) => Some(10.0),
            Signal::Faulty => Some(0.5),
            Signal::Pressure => Some(3.0),
            Signal::Vouched | Signal::Abuse => None,
        }
    }

    /// Its place among the sums of a day; none where it has no cap.
    pub(super) fn slot(self) -> Option<usize> {
        match self {
            Signal::Good => Some(0),
            Signal::Paid(_) => Some(1),
            Signal::Faulty => Some(2),
            Signal::Pressure => Some(3),
            Signal::Vouched | Signal::Abuse => None,
        }
    }
}
