use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::json;
use tokio::net::TcpListener;

use super::*;
use crate::{endpoint::Endpoint, strategy::test_names::node};

type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A model that gives one answer, and what it was asked: content type and body.
async fn model(answer: impl Fn() -> Response + Clone + Send + Sync + 'static) -> (RlModel, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let asked = seen.clone();
    let action = move |headers: HeaderMap, body: Bytes| async move {
        let kind = headers["content-type"].to_str().unwrap().to_owned();
        asked.lock().unwrap().push((kind, String::from_utf8(body.to_vec()).unwrap()));
        answer()
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/action", post(action))).await.unwrap() });
    (client(port), seen)
}

fn client(port: u16) -> RlModel {
    let address = Endpoint { host: "127.0.0.1".parse().unwrap(), port };
    RlModel::new(ModelSettings { address, timeout: Duration::from_millis(900) }).unwrap()
}

fn subject() -> Subject {
    let neighbours = BTreeSet::from([node(1)]);
    Subject { node: node(0), function: "figlet".parse().unwrap(), neighbours, named: false }
}

async fn refusal(model: &RlModel) -> String {
    format!("{:#}", model.ask(&subject(), &json!({})).await.unwrap_err())
}

#[tokio::test]
async fn a_question_is_posted_as_it_is_and_the_answer_becomes_weights() {
    let text = format!(r#"{{"node_{}":{{"local":0.61,"reject":0.04,"node_{}":0.35}}}}"#, node(0), node(1));
    let answer = text.clone();
    let (model, seen) = model(move || answer.clone().into_response()).await;
    let question = rl_agent::question(&subject(), &rl_agent::Window::default(), None, true);
    let answered = model.ask(&subject(), &question).await.unwrap();
    let weights = Weights { local: 61, reject: 4, peers: [(node(1), 35)].into() };
    assert_eq!(answered, Answered { weights, text });
    let seen = seen.lock().unwrap();
    assert_eq!(seen[..], [("application/json".to_owned(), question.to_string())]);
    assert!(seen[0].1.starts_with(r#"{"agent_parameters":{"explore":true},"observation":{"node_12D3"#));
}

#[tokio::test]
async fn a_status_a_shape_and_a_size_that_do_not_fit_are_errors_that_name_model_and_function() {
    for (status, body, said) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "[1,0,0]".to_owned(), "answer 500 Internal Server Error: expected 200 OK"),
        (StatusCode::CREATED, "[1,0,0]".to_owned(), "answer 201 Created"),
        (StatusCode::OK, "[1,0]".to_owned(), "has 2 shares"),
        (StatusCode::OK, String::new(), "no JSON"),
        (StatusCode::OK, " ".repeat(ANSWER_LIMIT_BYTES + 1), "longer than 65536 bytes"),
    ] {
        let (model, _) = model(move || (status, body.clone()).into_response()).await;
        let error = refusal(&model).await;
        assert!(error.starts_with("model 127.0.0.1:") && error.contains("function figlet: "), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_silent_model_and_none_at_all_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let model = client(listener.local_addr().unwrap().port());
    let error = refusal(&model).await;
    assert!(error.ends_with("no answer in 0.9 s"), "{error}");
    drop(listener);
    let error = refusal(&model).await;
    assert!(error.contains("refused"), "{error}");
}
