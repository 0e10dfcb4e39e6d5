//! How much of something is under way for each plugin, so that none takes more than its part of what is
//! done in the background.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Default)]
pub(in super::super) struct Turns(Arc<UnderWay>);

type UnderWay = Mutex<HashMap<Arc<str>, usize>>;

/// One of a plugin's, while it lives.
pub(in super::super) struct Turn {
    of: Arc<UnderWay>,
    plugin: Arc<str>,
}

impl Turns {
    /// None if the plugin has so many already.
    pub fn begin(&self, plugin: &Arc<str>, most: usize) -> Option<Turn> {
        let mut under_way = lock(&self.0);
        let count = under_way.entry(plugin.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Turn { of: self.0.clone(), plugin: plugin.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut under_way = lock(&self.of);
        if let Some(count) = under_way.get_mut(&self.plugin) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.plugin);
            }
        }
    }
}

fn lock(under_way: &UnderWay) -> MutexGuard<'_, HashMap<Arc<str>, usize>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_so_many_turns_and_takes_none_from_others() {
        let (turns, a, b): (_, Arc<str>, Arc<str>) = (Turns::default(), "a".into(), "b".into());
        let held = [turns.begin(&a, 2), turns.begin(&a, 2)];
        assert!(held.iter().all(Option::is_some));
        assert!(turns.begin(&a, 2).is_none());
        assert!(turns.begin(&b, 1).is_some());
        drop(held);
        assert!(turns.begin(&a, 1).is_some());
        assert!(lock(&turns.0).is_empty(), "nothing is left of those that ended");
    }
}
