//! How fast something rises.

/// Of the line with the least squares. Zero where there is no line.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let under: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    if under > 0.0 { over / under } else { 0.0 }
}

/// The later half of the points: what happens at the start happens once.
pub fn later_half(points: &[(f64, f64)]) -> &[(f64, f64)] {
    &points[points.len() / 2..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slope_is_that_of_the_line() {
        let points = [(1000.0, 30_000.0), (2000.0, 40_000.0), (4000.0, 60_000.0)];
        assert!((slope(&points) - 10.0).abs() < 1e-9);
        assert!(slope(&points[..1]).abs() < 1e-9 && slope(&[]).abs() < 1e-9);
        assert_eq!(later_half(&points).len(), 2);
    }
}
