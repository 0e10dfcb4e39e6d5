//! `convert_units`: the same quantity in another unit.

mod table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use switchboard_sdk::Context;

use self::table::{QUANTITIES, Quantity, Unit};
use crate::{number, offline::OfflineTool};

pub(crate) struct ConvertUnits;

/// How many units an unknown one is answered with.
const MAX_SUGGESTIONS: usize = 5;

/// A billionth of a degree is finer than any thermometer.
const DECIMAL_PLACES: f64 = 1e9;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The number to convert.
    #[schemars(example = 26.2)]
    value: f64,
    /// The unit that `value` has now, as a symbol or a name: `mi`, `miles`, `°F`, `GiB`, `km/h`.
    #[schemars(length(min = 1, max = 64), example = &"miles")]
    from: String,
    /// The unit to convert to, of the same kind.
    #[schemars(length(min = 1, max = 64), example = &"km")]
    to: String,
}

#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Answer {
    /// The converted number, to 15 significant digits.
    #[schemars(schema_with = "number_schema")]
    result: Value,
    /// The symbol of the unit of `result`.
    unit: &'static str,
    /// What is measured: length, mass, temperature, data, time, area, volume or speed.
    quantity: &'static str,
}

fn number_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "number" })
}

impl OfflineTool for ConvertUnits {
    const NAME: &'static str = "convert_units";
    const TITLE: &'static str = "Convert units";
    const DESCRIPTION: &'static str = "Convert a number from one unit of measurement to another: length (km, miles, feet, \
        inches), mass and weight (kg, pounds, ounces), temperature (Celsius, Fahrenheit, kelvin), data (MB, GiB, bits), \
        time (seconds, hours, days), area (m2, acres, hectares), volume (litres, gallons, cups), speed (km/h, mph, \
        knots). Returns the converted number.";

    type Arguments = Arguments;
    type Answer = Answer;

    fn call(_ctx: &Context, Arguments { value, from, to }: Arguments) -> Result<(String, Answer), String> {
        convert(value, &from, &to)
    }
}

fn convert(value: f64, from: &str, to: &str) -> Result<(String, Answer), String> {
    let (quantity, from) = find(from)?;
    let (target, to) = find(to)?;
    if quantity.name != target.name {
        return Err(format!(
            "`{}` measures {} and `{}` {}; {} can be converted to {}",
            from.symbol(),
            quantity.name,
            to.symbol(),
            target.name,
            from.symbol(),
            quantity.symbols()
        ));
    }
    let base = (value + from.offset) * from.factor;
    if quantity.is_temperature() && base < 0.0 {
        return Err(format!("{} {} is below absolute zero", number::text(value), from.symbol()));
    }
    let result = shifted(base / to.factor, to.offset);
    if !result.is_finite() {
        return Err(format!("{value:e} {} is too large to convert", from.symbol()));
    }
    let text = format!("{} {} = {} {}", number::text(value), from.symbol(), number::text(result), to.symbol());
    Ok((text, Answer { result: number::json(result), unit: to.symbol(), quantity: quantity.name }))
}

/// Without what binary arithmetic leaves behind when two scales have different zeros.
fn shifted(value: f64, offset: f64) -> f64 {
    if offset == 0.0 { value } else { ((value - offset) * DECIMAL_PLACES).round() / DECIMAL_PLACES }
}

type Found = (&'static Quantity, &'static Unit);

/// First as written, since `Mb` and `MB` differ; then in any case, if only one unit is left.
fn find(written: &str) -> Result<Found, String> {
    let name = written.trim().replace('_', " ");
    if let Some(found) = all().find(|(_, unit)| unit.names.contains(&name.as_str())) {
        return Ok(found);
    }
    let plain = simplified(&name);
    let found: Vec<Found> =
        all().filter(|(_, unit)| unit.names.iter().any(|known| simplified(known) == plain)).collect();
    match found[..] {
        [only] => Ok(only),
        [] => Err(format!("the unit {written:?} is not known; {}", suggestions(&plain))),
        _ => Err(format!("the unit {written:?} can be {}; mind the case", symbols(&found))),
    }
}

fn all() -> impl Iterator<Item = Found> {
    QUANTITIES.iter().flat_map(|quantity| quantity.units.iter().map(move |unit| (quantity, unit)))
}

/// One spelling for those that differ only in case, in British and American, or in the plural.
fn simplified(name: &str) -> String {
    let mut plain = name.to_lowercase().replace("metre", "meter").replace("litre", "liter");
    plain = plain.replace('²', "2").replace('³', "3").replace('^', "").replace(" per ", "/");
    // Only of words: `ms` is no plural.
    if plain.len() > 3 && plain.ends_with('s') {
        plain.pop();
    }
    plain
}

fn suggestions(plain: &str) -> String {
    let mut near: Vec<(usize, Found)> = all().filter_map(|found| Some((distance(found.1, plain)?, found))).collect();
    near.sort_by_key(|(distance, _)| *distance);
    let nearest = near.first().map_or(0, |(distance, _)| *distance);
    near.retain(|(distance, _)| *distance <= nearest + 1);
    near.truncate(MAX_SUGGESTIONS);
    if near.is_empty() {
        let known: Vec<String> = QUANTITIES.iter().map(|q| format!("{}: {}", q.name, q.symbols())).collect();
        return format!("known are {}", known.join("; "));
    }
    let near: Vec<&str> = near.iter().map(|(_, (_, unit))| unit.name()).collect();
    format!("similar ones are {}", near.join(", "))
}

/// To the nearest name of a unit, if it is near at all.
fn distance(unit: &Unit, plain: &str) -> Option<usize> {
    let limit = plain.chars().count().div_ceil(3);
    let edits = unit.names.iter().map(|name| edits(&simplified(name), plain)).min()?;
    (edits <= limit && edits < plain.chars().count()).then_some(edits)
}

/// The Levenshtein distance, row by row.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, &b) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (diagonal + usize::from(a != b)).min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

fn symbols(found: &[Found]) -> String {
    found.iter().map(|(_, unit)| unit.symbol()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives(value: f64, from: &str, to: &str, expected: &str) {
        assert_eq!(convert(value, from, to).unwrap().0, expected);
    }

    #[test]
    fn every_quantity_converts() {
        gives(26.2, "miles", "km", "26.2 mi = 42.1648128 km");
        gives(1.0, "stone", "Pounds", "1 st = 14 lb");
        gives(-40.0, "°C", "fahrenheit", "-40 °C = -40 °F");
        gives(300.0, "K", "celsius", "300 K = 26.85 °C");
        gives(1.0, "GiB", "MB", "1 GiB = 1073.741824 MB");
        gives(1.0, "week", "hours", "1 wk = 168 h");
        gives(1.0, "hectare", "square_metres", "1 ha = 10000 m2");
        gives(3.5, "m²", "cm^2", "3.5 m2 = 35000 cm2");
        gives(1.0, "gallon", "litres", "1 gal = 3.785411784 L");
        gives(100.0, "km/h", "miles per hour", "100 km/h = 62.1371192237334 mph");
    }

    #[test]
    fn case_counts_only_where_it_has_to() {
        gives(8.0, "Mb", "MB", "8 Mb = 1 MB");
        gives(1.0, "KM", "M", "1 km = 1000 m");
        assert_eq!(find("mb").unwrap_err(), "the unit \"mb\" can be MB or Mb; mind the case");
    }

    #[test]
    fn unknown_units_are_answered_with_those_near() {
        assert_eq!(find("kilometrs").unwrap_err(), "the unit \"kilometrs\" is not known; similar ones are kilometers");
        assert!(find("fahrenhite").unwrap_err().ends_with("similar ones are fahrenheit"));
        assert!(find("parsec").unwrap_err().contains("known are length: m, km, "));
    }

    #[test]
    fn different_quantities_do_not_convert() {
        let fault = convert(1.0, "kg", "km").unwrap_err();
        assert_eq!(fault, "`kg` measures mass and `km` length; kg can be converted to kg, g, mg, t, lb, oz, st");
    }

    #[test]
    fn values_without_meaning_are_refused() {
        assert_eq!(convert(-300.0, "C", "F").unwrap_err(), "-300 °C is below absolute zero");
        assert!(convert(1e308, "km", "nm").unwrap_err().ends_with("is too large to convert"));
    }

    #[test]
    fn no_two_units_share_a_name() {
        for (_, unit) in all() {
            for name in unit.names {
                let owners = all().filter(|(_, other)| other.names.contains(name)).count();
                assert_eq!(owners, 1, "{name}");
            }
        }
    }
}
