//! An error with the causes behind it.

use std::error::Error;

/// An error and its causes as one sentence. Some libraries repeat the cause in their own text; what
/// was said already is not said again.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(text.trim()) {
            message = format!("{}: {text}", message.trim_end());
        }
        cause = error.source();
    }
    message
}
