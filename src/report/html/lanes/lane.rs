//! The time axis, and the lanes on it.

use super::super::super::Span;
use super::super::markup::{Hint, Markup, Number, Percent, Time};
use std::fmt::Arguments;

/// A stretch of a lane.
#[derive(Clone, Copy)]
pub struct Bar {
    pub span: Span,
    pub look: Look,
}

/// What a bar stands for.
#[derive(Clone, Copy)]
pub enum Look {
    Phase,
    PhaseOver,
    Run,
    Waits,
    Beside,
    BesideBad,
    Waited,
    GaveUp,
    Inside,
    Stopped,
    TakenOver,
    Child,
    ChildBad,
    Kept,
}

impl Look {
    /// Its class in the style sheet, and in words.
    const fn class(self) -> (&'static str, &'static str) {
        match self {
            Look::Phase => ("phase", "phase"),
            Look::PhaseOver => ("over", "phase, out of time"),
            Look::Run => ("run", "running"),
            Look::Waits => ("waits", "waiting"),
            Look::Beside => ("beside", "running beside the finalization"),
            Look::BesideBad => ("beside bad", "beside the finalization, without a good end"),
            Look::Waited => ("waited", "waited for, until it came"),
            Look::GaveUp => ("gaveup", "waited for too long, or in vain"),
            Look::Inside => ("inside", "still inside"),
            Look::Stopped => ("stopped", "stopped"),
            Look::TakenOver => ("taken", "taken over"),
            Look::Child => ("child", "child"),
            Look::ChildBad => ("child bad", "child, incomplete"),
            Look::Kept => ("kept", "kept"),
        }
    }
}

/// What stands above the lanes: the title, how far they are stretched, and the legend.
pub fn head(m: &mut Markup<'_>, number: u32) {
    m.put(format_args!(
        "<div class=\"above\"><h2>What happened when</h2><p class=\"zoom\">stretch"
    ));
    for times in [1, 4, 16, 64] {
        let checked = if times == 1 { " checked=\"checked\"" } else { "" };
        m.put(format_args!(
            "<label><input type=\"radio\" name=\"stretch-{number}\" class=\"x{times}\"{checked}/>\
             <span>{times}×</span></label>"
        ));
    }
    m.put(format_args!("</p></div>\n<p class=\"legend\">"));
    let looks = [
        Look::Phase,
        Look::Run,
        Look::Waits,
        Look::Beside,
        Look::Waited,
        Look::GaveUp,
        Look::Stopped,
    ];
    for look in looks.into_iter().chain([Look::Inside, Look::Kept]) {
        let (class, words) = look.class();
        m.put(format_args!("<span><i class=\"key {class}\"></i> {words}</span> "));
    }
    m.put(format_args!("</p>\n"));
}

/// From the beginning of a finalization to its end, in microseconds.
pub struct Axis {
    pub end: u64,
}

impl Axis {
    /// Begins the lanes, with the axis above them.
    pub fn begin(&self, m: &mut Markup<'_>) {
        let step = self.step();
        m.put(format_args!(
            "<div class=\"scroll\"><div class=\"lanes\" style=\"--step:{}\">\n\
             <div class=\"lane axis\"><div class=\"who\"></div><div class=\"track\">",
            Percent(step, self.end)
        ));
        let mut at = 0;
        while at <= self.end {
            m.put(format_args!("<span style=\"--l:{}\">", Percent(at, self.end)));
            self.tick(m, at);
            m.put(format_args!("</span>"));
            at = at.saturating_add(step);
            if at == u64::MAX {
                break;
            }
        }
        m.put(format_args!("</div></div>\n"));
    }

    /// One, two or five of a power of ten, so that there are five to ten of them.
    fn step(&self) -> u64 {
        let mut step = 1u64;
        for factor in [2, 5, 10].into_iter().cycle() {
            if self.end / step < 10 {
                break;
            }
            let power = 10u64.pow(step.ilog10());
            step = power.saturating_mul(factor);
        }
        step
    }

    fn tick(&self, m: &mut Markup<'_>, at: u64) {
        let (scale, unit) = match self.end {
            0..1_000 => (1.0, "µs"),
            1_000..1_000_000 => (1e3, "ms"),
            _ => (1e6, "s"),
        };
        m.put(format_args!("{} {unit}", at as f64 / scale));
    }

    /// A line across all lanes.
    pub fn mark(&self, m: &mut Markup<'_>, class: &str, at: u64, what: &str) {
        let share = at as f64 / self.end as f64;
        // The words stand on the side that has room.
        let late = if share > 0.5 { " late" } else { "" };
        m.put(format_args!(
            "<div class=\"mark {class}{late}\" style=\"--p:{share:.5}\" title=\"{what}, after {}\"><b>{what}</b></div>\n",
            Time(at)
        ));
    }

    /// The title of the lanes that follow.
    pub fn group(&self, m: &mut Markup<'_>, title: &str, more: &str) {
        m.put(format_args!("<div class=\"group\"><h3>{title} <small>{more}</small></h3></div>\n"));
    }

    /// A lane. `who` escapes itself as an element, and `hint` as a part of an attribute.
    pub fn lane(
        &self,
        m: &mut Markup<'_>,
        who: Arguments<'_>,
        hint: Arguments<'_>,
        us: Option<u64>,
        note: impl FnOnce(&mut Markup<'_>),
        bars: &[Bar],
    ) {
        self.told_lane(m, (who, hint), us, note, bars, |_| "");
    }

    /// A lane in which the bars have hints of their own, by their index, beside that of all.
    pub fn told_lane<'h>(
        &self,
        m: &mut Markup<'_>,
        (who, hint): (Arguments<'_>, Arguments<'_>),
        us: Option<u64>,
        note: impl FnOnce(&mut Markup<'_>),
        bars: &[Bar],
        own: impl Fn(usize) -> &'h str,
    ) {
        m.put(format_args!(
            "<div class=\"lane\"><div class=\"who\"><span class=\"what\">{who}</span>"
        ));
        if let Some(us) = us {
            m.put(format_args!("<span class=\"us\">{}</span>", Time(us)));
        }
        m.put(format_args!("<small>"));
        note(m);
        m.put(format_args!("</small></div><div class=\"track\">"));
        for (at, bar) in bars.iter().enumerate() {
            let own = own(at);
            let comma = if own.is_empty() { "" } else { ", " };
            let (class, words) = bar.look.class();
            let Span { start_us, us } = bar.span;
            let left = start_us.min(self.end);
            m.put(format_args!(
                "<i class=\"{class}\" style=\"--l:{};--w:{}\" title=\"{hint}: {words}{comma}{}, {} from {} on\"></i>",
                Percent(left, self.end),
                Percent(us.min(self.end - left), self.end),
                Hint(own),
                Time(us),
                Time(start_us)
            ));
        }
        m.put(format_args!("</div></div>\n"));
    }

    /// A bar from `start_us` to the end.
    pub fn rest(&self, start_us: u64, look: Look) -> Bar {
        Bar { span: Span { start_us, us: self.end.saturating_sub(start_us) }, look }
    }

    /// A line of text among the lanes.
    pub fn line(&self, m: &mut Markup<'_>, text: Arguments<'_>) {
        m.put(format_args!("<div class=\"group more\">{text}</div>\n"));
    }

    /// Ends a group in which so many have no lane.
    pub fn more(&self, m: &mut Markup<'_>, left_out: usize) {
        if left_out > 0 {
            self.line(m, format_args!("… and {} more", Number(left_out as u64)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Axis;

    #[test]
    fn the_axis_has_at_most_ten_steps_of_round_numbers() {
        let step = |end| Axis { end }.step();
        let ends = [1, 9, 10, 1_250, 19_999, 20_000, 49_999, 50_000, 2_100_000];
        let steps = [1, 1, 2, 200, 2_000, 5_000, 5_000, 10_000, 500_000];
        assert_eq!(ends.map(step), steps);
        let most = u64::MAX;
        assert!(most / step(most) < 10);
    }
}
