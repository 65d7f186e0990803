//! HTTP: listeners, routes, authentication, answers as SSE and JSON, admin API, health.
//!
//! One service function a listener; no stack of layers. HTTP types end here: below, a request is a `ChatRequest`.

pub mod admin;
mod arrival;
mod assets;
mod auth;
mod body;
mod cors;
mod data;
mod feedback;
pub mod gateway;
pub mod listener;
mod manner;
mod me;
mod models;
mod names;
mod query;
mod quota;
mod reply;
mod screen;
mod session;
mod stall;
mod stream;
pub mod tls;
