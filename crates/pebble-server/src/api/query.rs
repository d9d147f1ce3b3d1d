//! Parameters of requests.

/// The parameters in their order, repeated ones included.
pub(super) struct Params(pub Vec<(String, String)>);

impl Params {
    /// The first of that name, or nothing.
    pub fn one(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }

    /// All of that name.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The items of a list, which may be repeated or separated by commas.
    pub fn list(&self, key: &str) -> Vec<String> {
        let items = self.all(key).flat_map(|value| value.split(','));
        items
            .map(|item| item.trim().to_owned())
            .filter(|item| !item.is_empty())
            .collect()
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let query = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state);
        Ok(Self(query.await.map(|query| query.0).unwrap_or_default()))
    }
}
