//! Tables on the screen.

use comfy_table::{ContentArrangement, Table, presets::ASCII_MARKDOWN};

/// A table with a header row, no wider than the terminal.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// A size as Docker tells it: decimal units, three digits.
pub(crate) fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let bytes = bytes as f64;
    match bytes {
        ..1e6 => format!("{:.1} kB", bytes / 1e3),
        ..1e9 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.2} GB", bytes / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_shortly() {
        let shown = [742_000, 601_234_567, 24_100_000_000].map(megabytes);
        assert_eq!(shown, ["742.0 kB", "601.2 MB", "24.10 GB"]);
    }
}
