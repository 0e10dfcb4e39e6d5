//! What a token of the admin listener allows. Each scope holds those before it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TokenScope)]
pub(crate) enum Scope {
    /// To look: plugins, their logs, sessions, the configuration, revocations, the audit trail.
    Read,
    /// And to bring versions of plugins to traffic, take them back, and switch plugins off and on.
    Deploy,
    /// And everything else: to revoke users' tokens, end sessions, drop what plugins remember, and make tokens
    /// like this one.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 3] = [Self::Read, Self::Deploy, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }

    /// Whether what needs the other scope is allowed by this one.
    pub fn allows(self, needed: Self) -> bool {
        self >= needed
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no scope: use read, deploy or admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scope_allows_itself_and_those_before_it() {
        for (index, scope) in Scope::ALL.into_iter().enumerate() {
            let allowed = Scope::ALL.into_iter().filter(|needed| scope.allows(*needed)).count();
            assert_eq!(allowed, index + 1);
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!("root".parse::<Scope>().unwrap_err().contains("read, deploy or admin"));
    }
}
