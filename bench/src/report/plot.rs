//! The plot: a panel for each generator, with the times of the contenders relative to an unrecorded run.

use std::path::Path;

use anyhow::anyhow;
use plotters::{
    coord::types::RangedCoordf64,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{GeneratorResult, Report, format::digits};
use crate::{
    contender::{Contender, Scope},
    stats::Quartiles,
};

const PANEL_WIDTH: u32 = 460;
const ROW_HEIGHT: u32 = 22;
/// Title, axis and margins of a panel.
const PANEL_EXTRA: u32 = 80;
const COLUMNS: usize = 2;
/// The start of the axis.
const BEGIN: f64 = 0.7;
const LABEL_WIDTH: u32 = 150;

const OURS: RGBColor = RGBColor(0x1f, 0x6f, 0xb4);
const OURS_NOTHING: RGBColor = RGBColor(0x9c, 0xc4, 0xe4);
const PEER: RGBColor = RGBColor(0xd9, 0x7b, 0x29);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);

type Panel<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, RangedCoordf64>>;

/// Draws the report into an SVG file. Returns false, without a file, if there is nothing to draw.
///
/// # Errors
/// If the file cannot be written.
pub fn plot(report: &Report, path: &Path) -> anyhow::Result<bool> {
    let panels: Vec<_> = report.generators.iter().map(|result| (result, bars(result))).collect();
    let most = panels.iter().map(|(_, bars)| bars.len()).max().unwrap_or(0);
    if most == 0 {
        return Ok(false);
    }
    let end = panels.iter().flat_map(|(_, bars)| bars).map(|bar| bar.ratio.q3).fold(10.0, f64::max) * 2.5;
    let height = most as u32 * ROW_HEIGHT + PANEL_EXTRA;
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL_WIDTH * COLUMNS as u32, height * rows as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let draw = || -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
        root.fill(&WHITE)?;
        for (area, (result, bars)) in root.split_evenly((rows, COLUMNS)).iter().zip(&panels) {
            panel(area, result, bars, end)?;
        }
        root.present()
    };
    draw().map_err(|error| anyhow!("cannot draw {}: {error}", path.display()))?;
    Ok(true)
}

struct Bar {
    contender: Contender,
    ratio: Quartiles,
}

/// Returns the bars, from top to bottom.
fn bars(result: &GeneratorResult) -> Vec<Bar> {
    let others = Contender::all().iter().filter(|contender| **contender != Contender::None);
    others
        .filter_map(|contender| {
            let ratio = result.ratio(*contender, Contender::None)?;
            Some(Bar { contender: *contender, ratio })
        })
        .collect()
}

fn panel(
    area: &Panel<'_>,
    result: &GeneratorResult,
    bars: &[Bar],
    end: f64,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    // The axis starts below 1, as a run can be slightly faster than the unrecorded one.
    let (begin, rows) = (BEGIN, bars.len() as f64);
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{}, × none", result.generator.name()), ("sans-serif", 16))
        .margin(10)
        .x_label_area_size(24)
        .y_label_area_size(LABEL_WIDTH)
        .build_cartesian_2d((begin..end).log_scale(), 0.0..rows.max(1.0))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .x_labels(4)
        .x_label_formatter(&|value| digits(*value).trim_end_matches(".00").trim_end_matches(".0").to_owned())
        .draw()?;
    for (index, bar) in bars.iter().enumerate() {
        let y = rows - index as f64 - 0.5;
        draw_bar(&mut chart, bar, y)?;
        let pixel = chart.backend_coord(&(begin, y)).1;
        let (_, top) = area.get_base_pixel();
        let style = TextStyle::from(("sans-serif", 12)).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw_text(bar.contender.label(), &style, (LABEL_WIDTH as i32 + 4, pixel - top))?;
    }
    Ok(())
}

/// Draws a bar to the median, a line between the quartiles, and the number.
fn draw_bar(
    chart: &mut Chart<'_, '_>,
    bar: &Bar,
    y: f64,
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let number = digits(bar.ratio.median);
    let [q1, median, q3] = [bar.ratio.q1, bar.ratio.median, bar.ratio.q3].map(|ratio| ratio.max(BEGIN));
    let colour = match (bar.contender.is_scapd(), bar.contender.scope()) {
        (true, Scope::Nothing) => OURS_NOTHING,
        (true, _) => OURS,
        (false, _) => PEER,
    };
    chart.draw_series([Rectangle::new([(1.0, y - 0.35), (median, y + 0.35)], colour.filled())])?;
    chart.draw_series([PathElement::new([(q1, y), (q3, y)], BLACK.stroke_width(1))])?;
    let style = TextStyle::from(("sans-serif", 12)).pos(Pos::new(HPos::Left, VPos::Center));
    chart.draw_series([Text::new(format!(" {number}"), (median.max(q3), y), style)])?;
    Ok(())
}
