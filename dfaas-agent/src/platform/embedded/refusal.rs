//! Every answer that is not a success: a status and one line of text.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{body::BodyError, registry::ChangeError, request_env::BadRequest};

#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, self.1 + "\n").into_response()
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let status = match &error {
            BodyError::TooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            BodyError::Memory => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<BadRequest> for Refusal {
    fn from(error: BadRequest) -> Self {
        let status = match error {
            BadRequest::TooLong => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            BadRequest::Path => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::Refused(_) | ChangeError::Full(_) => StatusCode::BAD_REQUEST,
            ChangeError::Absent(_) => StatusCode::NOT_FOUND,
            ChangeError::State(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}
