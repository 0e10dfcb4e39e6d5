//! The units. Every factor is exact by definition, where the unit has one.

/// Something that can be measured, with its units, the base unit first.
#[derive(Debug)]
pub(super) struct Quantity {
    pub(super) name: &'static str,
    pub(super) units: &'static [Unit],
}

/// A unit. A value in it is `(value + offset) * factor` in the base unit.
#[derive(Debug)]
pub(super) struct Unit {
    /// The symbol first. Plurals in -s and spellings in other cases, or with -re for -er, need no mention.
    pub(super) names: &'static [&'static str],
    pub(super) factor: f64,
    pub(super) offset: f64,
}

impl Quantity {
    pub(super) fn symbols(&self) -> String {
        self.units.iter().map(Unit::symbol).collect::<Vec<_>>().join(", ")
    }

    /// The only quantity with a lowest value.
    pub(super) fn is_temperature(&self) -> bool {
        self.name == "temperature"
    }
}

impl Unit {
    pub(super) fn symbol(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Its first name that is more than a symbol.
    pub(super) fn name(&self) -> &'static str {
        self.names.iter().copied().find(|name| name.len() > 3).unwrap_or(self.symbol())
    }
}

const fn unit(factor: f64, names: &'static [&'static str]) -> Unit {
    Unit { names, factor, offset: 0.0 }
}

const FOOT: f64 = 0.3048;
const INCH: f64 = 0.0254;
const YARD: f64 = 0.9144;
const MILE: f64 = 1609.344;
const NAUTICAL_MILE: f64 = 1852.0;
const POUND: f64 = 0.453_592_37;
const LITRE: f64 = 0.001;
/// The liquid one of the United States: 231 cubic inches.
const GALLON: f64 = 3.785_411_784 * LITRE;
const IMPERIAL_GALLON: f64 = 4.546_09 * LITRE;
const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;
/// The mean one of the Gregorian calendar.
const YEAR: f64 = 365.2425 * DAY;
const KIBI: f64 = 1024.0;

pub(super) static QUANTITIES: [Quantity; 8] = [
    Quantity {
        name: "length",
        units: &[
            unit(1.0, &["m", "meters"]),
            unit(1e3, &["km", "kilometers"]),
            unit(1e-2, &["cm", "centimeters"]),
            unit(1e-3, &["mm", "millimeters"]),
            unit(1e-6, &["µm", "um", "μm", "micrometers", "microns"]),
            unit(1e-9, &["nm", "nanometers"]),
            unit(INCH, &["in", "inches", "inch", "\""]),
            unit(FOOT, &["ft", "feet", "foot", "'"]),
            unit(YARD, &["yd", "yards"]),
            unit(MILE, &["mi", "miles"]),
            unit(NAUTICAL_MILE, &["nmi", "nautical miles"]),
        ],
    },
    Quantity {
        name: "mass",
        units: &[
            unit(1.0, &["kg", "kilograms", "kilogrammes", "kilos"]),
            unit(1e-3, &["g", "grams", "grammes"]),
            unit(1e-6, &["mg", "milligrams"]),
            unit(1e3, &["t", "tonnes", "metric tons"]),
            unit(POUND, &["lb", "lbs", "pounds"]),
            unit(POUND / 16.0, &["oz", "ounces"]),
            unit(POUND * 14.0, &["st", "stones", "stone"]),
        ],
    },
    Quantity {
        name: "temperature",
        units: &[
            unit(1.0, &["K", "kelvin"]),
            Unit { names: &["°C", "C", "celsius", "degrees celsius", "degc"], factor: 1.0, offset: 273.15 },
            Unit {
                names: &["°F", "F", "fahrenheit", "degrees fahrenheit", "degf"], factor: 5.0 / 9.0, offset: 459.67
            },
        ],
    },
    Quantity {
        name: "data",
        units: &[
            unit(1.0, &["B", "bytes"]),
            unit(0.125, &["bit", "b", "bits"]),
            unit(1e3, &["kB", "KB", "kilobytes"]),
            unit(1e6, &["MB", "megabytes"]),
            unit(1e9, &["GB", "gigabytes"]),
            unit(1e12, &["TB", "terabytes"]),
            unit(1e15, &["PB", "petabytes"]),
            unit(KIBI, &["KiB", "kibibytes"]),
            unit(KIBI * KIBI, &["MiB", "mebibytes"]),
            unit(KIBI * KIBI * KIBI, &["GiB", "gibibytes"]),
            unit(KIBI * KIBI * KIBI * KIBI, &["TiB", "tebibytes"]),
            unit(125.0, &["kb", "Kb", "kilobits", "kbit"]),
            unit(125e3, &["Mb", "megabits", "Mbit"]),
            unit(125e6, &["Gb", "gigabits", "Gbit"]),
        ],
    },
    Quantity {
        name: "time",
        units: &[
            unit(1.0, &["s", "seconds", "sec", "secs"]),
            unit(1e-3, &["ms", "milliseconds"]),
            unit(1e-6, &["µs", "us", "μs", "microseconds"]),
            unit(1e-9, &["ns", "nanoseconds"]),
            unit(60.0, &["min", "minutes", "mins"]),
            unit(HOUR, &["h", "hours", "hr", "hrs"]),
            unit(DAY, &["d", "days"]),
            unit(7.0 * DAY, &["wk", "weeks"]),
            unit(YEAR / 12.0, &["mo", "months"]),
            unit(YEAR, &["yr", "years"]),
        ],
    },
    Quantity {
        name: "area",
        units: &[
            unit(1.0, &["m2", "square meters", "sqm"]),
            unit(1e6, &["km2", "square kilometers"]),
            unit(1e-4, &["cm2", "square centimeters"]),
            unit(1e4, &["ha", "hectares"]),
            unit(4_046.856_422_4, &["ac", "acres"]),
            unit(INCH * INCH, &["in2", "square inches", "square inch", "sq in"]),
            unit(FOOT * FOOT, &["ft2", "square feet", "square foot", "sq ft", "sqft"]),
            unit(YARD * YARD, &["yd2", "square yards"]),
            unit(MILE * MILE, &["mi2", "square miles", "sq mi"]),
        ],
    },
    Quantity {
        name: "volume",
        units: &[
            unit(1.0, &["m3", "cubic meters"]),
            unit(LITRE, &["L", "l", "liters"]),
            unit(1e-3 * LITRE, &["mL", "ml", "milliliters", "cm3", "cubic centimeters"]),
            unit(1e-2 * LITRE, &["cL", "cl", "centiliters"]),
            unit(GALLON, &["gal", "gallons", "US gallons"]),
            unit(GALLON / 4.0, &["qt", "quarts"]),
            unit(GALLON / 8.0, &["pt", "pints"]),
            unit(GALLON / 16.0, &["cup", "cups"]),
            unit(GALLON / 128.0, &["fl oz", "floz", "fluid ounces"]),
            unit(GALLON / 256.0, &["tbsp", "tablespoons"]),
            unit(GALLON / 768.0, &["tsp", "teaspoons"]),
            unit(IMPERIAL_GALLON, &["imp gal", "imperial gallons", "UK gallons"]),
            unit(IMPERIAL_GALLON / 8.0, &["imp pt", "imperial pints", "UK pints"]),
            unit(INCH * INCH * INCH, &["in3", "cubic inches", "cubic inch"]),
            unit(FOOT * FOOT * FOOT, &["ft3", "cubic feet", "cubic foot"]),
        ],
    },
    Quantity {
        name: "speed",
        units: &[
            unit(1.0, &["m/s", "meters per second", "mps"]),
            unit(1e3 / HOUR, &["km/h", "kilometers per hour", "kmh", "kph"]),
            unit(MILE / HOUR, &["mph", "miles per hour", "mi/h"]),
            unit(NAUTICAL_MILE / HOUR, &["kn", "knots", "kt"]),
            unit(FOOT, &["ft/s", "feet per second", "foot per second", "fps"]),
        ],
    },
];
