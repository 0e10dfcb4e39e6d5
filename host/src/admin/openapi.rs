//! The OpenAPI document of this listener, completed from what the handlers say of themselves.

use axum::{Json, extract::State};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, Response, ResponseBuilder,
    path::Operation,
    schema::ComponentsBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    tag::TagBuilder,
};

use super::AdminState;
use crate::auth::operator::Scope;

/// The name of the one way to authenticate.
const SCHEME: &str = "token";

const ABOUT: &str = "What operators ask of a running Switchboard. Requests name this machine in their Host header, and \
    carry a token as `Authorization: Bearer sba_...`. The scopes of tokens are `read`, `deploy` and `admin`; each \
    holds those before it. Refusals have the same form everywhere.";

const TOKEN: &str = "A token of this listener. `switchboard admin token create` makes one; the first start leaves one \
    in `admin.token` in the data folder.";

/// The document before any route is in it.
pub(super) fn empty() -> OpenApi {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(TOKEN)).build();
    let schema = <super::problem::ErrorBody as utoipa::PartialSchema>::schema();
    let components = ComponentsBuilder::new()
        .security_scheme(SCHEME, SecurityScheme::Http(scheme))
        .schema("Error", schema)
        .schema("Stage", <crate::plugin::status::Stage as utoipa::PartialSchema>::schema())
        .build();
    let info = InfoBuilder::new()
        .title("Switchboard, for operators")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(ABOUT))
        .build();
    let tag = |(name, about): (&str, &str)| TagBuilder::new().name(name).description(Some(about)).build();
    let tags = [
        ("plugins", "What runs, in which versions, and what it says."),
        ("sessions", "Who is connected, and whose tokens are no longer good."),
        ("operators", "Tokens of this listener, and what was done with them."),
        ("host", "The host itself."),
    ];
    OpenApiBuilder::new().info(info).components(Some(components)).tags(Some(tags.map(tag))).build()
}

/// Says of every operation that it needs a token, and what comes without.
pub(super) fn require(document: &mut OpenApi, needed: Scope) {
    for operation in operations(document) {
        let requirement = SecurityRequirement::new(SCHEME, [needed.as_str()]);
        operation.security = Some(vec![requirement]);
        add(operation, "401", "There is no token, or one that is not good.");
        let text = format!("The token has not the scope `{}`, or the request comes from a web page.", needed.as_str());
        add(operation, "403", &text);
        add(operation, "429", "This address has shown too many wrong tokens.");
    }
}

/// Says of the other operations that they need none.
pub(super) fn complete(document: &mut OpenApi) {
    for operation in operations(document) {
        if operation.security.is_none() {
            operation.security = Some(Vec::new());
            add(operation, "403", "The request names another host than this machine, or comes from a web page.");
        }
    }
}

/// The document itself
///
/// In OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", tag = "host", responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub(super) async fn serve(State(state): State<AdminState>) -> Json<std::sync::Arc<OpenApi>> {
    Json(state.document)
}

fn add(operation: &mut Operation, status: &str, text: &str) {
    operation.responses.responses.entry(status.to_owned()).or_insert_with(|| refusal(text).into());
}

fn refusal(text: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error"))).build();
    ResponseBuilder::new().description(text).content("application/json", content).build()
}

fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|item| {
        [&mut item.get, &mut item.put, &mut item.post, &mut item.delete].into_iter().filter_map(Option::as_mut)
    })
}
