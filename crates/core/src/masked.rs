//! The masked zone by type: what holds a [`Masked`] value holds no personal data that a policy wants out.

/// Text in which personal data is replaced by placeholders.
///
/// Everything between masking and restoring (providers, cache, judges, records, logs) accepts only this. Where a route
/// masks nothing, the privacy room makes it all the same, so that there is one way in.
#[derive(Debug, Clone)]
pub struct Masked<T>(T);

impl<T> Masked<T> {
    /// Says that a value is masked. Only the privacy room may say so.
    pub fn assume(value: T) -> Self {
        Masked(value)
    }

    /// The value.
    pub fn get(&self) -> &T {
        &self.0
    }
}
