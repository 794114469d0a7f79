//! All cells as a table, kernels by interfaces.

use comfy_table::{Table, presets};

use super::cell::Cell;

/// For people, and as it stands in docs/networks.md; then what is wrong, then why modes are not better.
pub(super) fn text(cells: &[Cell]) -> String {
    let mut lines = vec![table(cells)];
    for (title, of) in [
        ("wrong", Cell::faults as fn(&Cell) -> Vec<String>),
        ("why not better", Cell::reasons),
        ("verified", Cell::verifier),
    ] {
        for cell in cells {
            lines.extend(of(cell).iter().map(|text| format!("{title}: {}, {}: {text}", cell.kernel, nics(cell))));
        }
    }
    let seconds: u64 = cells.iter().map(|cell| cell.seconds).sum();
    lines.push(format!("{} cells in {seconds} s", cells.len()));
    lines.join("\n")
}

fn table(cells: &[Cell]) -> String {
    let (mut rows, mut columns): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for cell in cells {
        if !rows.contains(&cell.kernel.as_str()) {
            rows.push(&cell.kernel);
        }
        if !columns.contains(&nics(cell)) {
            columns.push(nics(cell));
        }
    }
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["kernel".to_owned()].into_iter().chain(columns.iter().cloned()));
    for row in rows {
        let of = |column: &String| cells.iter().find(|cell| cell.kernel == row && nics(cell) == *column);
        let texts = columns.iter().map(|column| of(column).map_or("not run".to_owned(), Cell::text));
        table.add_row([row.to_owned()].into_iter().chain(texts));
    }
    table.to_string()
}

fn nics(cell: &Cell) -> String {
    let mut nics = cell.nics.clone();
    nics.dedup();
    nics.join(" + ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(kernel: &str, nics: &[&'static str], error: Option<&str>) -> Cell {
        Cell {
            kernel: kernel.to_owned(),
            nics: nics.to_vec(),
            nodes: Vec::new(),
            cases: Vec::new(),
            error: error.map(str::to_owned),
            seconds: 7,
        }
    }

    #[test]
    fn kernels_are_rows_interfaces_are_columns_and_a_hole_says_so() {
        let cells = [
            cell("6.1", &["virtio", "virtio"], None),
            cell("6.12", &["virtio", "virtio"], None),
            cell("6.12", &["virtio", "vmxnet3"], Some("it broke")),
        ];
        let text = text(&cells);
        let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(rows[0], ["", "kernel", "virtio", "virtio + vmxnet3", ""]);
        assert_eq!(rows[2], ["", "6.1", "ok", "not run", ""]);
        assert_eq!(rows[3], ["", "6.12", "ok", "DID NOT RUN", ""]);
        assert!(text.contains("wrong: 6.12, virtio + vmxnet3: it broke"), "{text}");
        assert!(text.ends_with("3 cells in 21 s"), "{text}");
    }
}
