//! Trust, and what may be asked about limits, from outside.
#![cfg(test)]

use aplomb_testkit::Dialect::OpenAi;
use aplomb_testkit::client::{Request, Whole};
use aplomb_testkit::gateway::{Gateway, Setup};
use aplomb_testkit::upstream::{Step, Upstream};
use aplomb_testkit::{wait_for, wire};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_aplomb");

const PRACTICE: &str = "providers:\n  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }\n\
    routes:\n  chat: { targets: [practice/small] }\n  dear: { targets: [practice/large] }\n";

fn ask(gateway: &Gateway, model: &str, user: &str) -> Whole {
    let request = gateway.chat(OpenAi, model, false);
    request.header("x-aplomb-user", user).whole()
}

fn me(gateway: &Gateway, query: &str, user: &str) -> Value {
    let request = get(gateway, &format!("/aplomb/v1/limits/me{query}"));
    let answer = request.header("x-aplomb-user", user).whole();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn post(gateway: &Gateway, path: &str, body: &Value) -> Whole {
    let request = gateway.admin_get(path).with_method("POST");
    request.body(body.to_string().as_bytes()).whole()
}

fn get(gateway: &Gateway, path: &str) -> Request {
    Request::new(gateway.data, "GET", path)
}

/// What a command says.
fn says(setup: &Setup, arguments: &[&str]) -> String {
    let output = setup.command(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

fn set(gateway: &Gateway, user: &str, level: &str) -> Whole {
    let body = json!({ "tenant": "local", "user": user, "level": level, "for": "1h", "reason": "we know them" });
    post(gateway, "/admin/v1/limits/trust", &body)
}

#[test]
fn callers_see_how_their_limits_stand() {
    let limits = "limits:\n  - 3 requests per 3h per user, id small\n  - 100 requests per 1m per tenant\n  \
        - 1 requests per 1h per user and model where model = dear\n";
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}{limits}"));
    assert_eq!(ask(&gateway, "chat", "ada").status, 200);
    let told = me(&gateway, "", "ada");
    let limit = |told: &Value, at: usize| told["limits"][at].clone();
    let small = limit(&told, 0);
    assert_eq!(
        (
            &small["rule"],
            &small["used"],
            &small["remaining"],
            &small["unit"]
        ),
        (&json!("small"), &json!(1), &json!(2), &json!("requests"))
    );
    let wait = small["room_again_ms"].as_u64().unwrap();
    assert!((10_790_000..=10_800_000).contains(&wait), "{wait}");
    assert_eq!(limit(&told, 1)["used"], 1);
    assert_eq!(told["limits"].as_array().unwrap().len(), 2);
    assert_eq!(
        told["by_model"],
        json!(["1 requests per 1h per user per model where model = dear"])
    );
    // With a model, its rules have numbers; asking uses nothing.
    let told = me(&gateway, "?model=dear", "ada");
    assert_eq!(told["limits"].as_array().unwrap().len(), 3);
    assert_eq!(limit(&told, 2)["used"], 0);
    assert_eq!(limit(&me(&gateway, "", "bob"), 0)["used"], 0);
    let unknown = get(&gateway, "/aplomb/v1/limits/me?model=nope").whole();
    assert_eq!(
        (unknown.status, unknown.error_code()),
        (404, "model_not_found".into())
    );
}

#[test]
fn a_decision_is_told_to_whom_it_is_about() {
    let limits = "limits:\n  - 1 requests per 3h per user, id small\n";
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}{limits}"));
    let first = ask(&gateway, "chat", "ada");
    let refused = ask(&gateway, "chat", "ada");
    let id = refused.json()["error"]["aplomb"]["decision_id"].clone();
    let id = id.as_str().unwrap();
    let path = format!("/aplomb/v1/decisions/{id}");
    let own = get(&gateway, &path).header("x-aplomb-user", "ada").whole();
    let told = own.json();
    assert_eq!(own.status, 200, "{told}");
    assert_eq!(
        (
            &told["decision"],
            &told["rule"],
            &told["used"],
            &told["limit"],
            &told["asked"]
        ),
        (
            &json!("refused"),
            &json!("small"),
            &json!(1),
            &json!(1),
            &json!(1)
        )
    );
    assert_eq!(told["rule_text"], "1 requests per 3h per user, id small");
    assert_eq!(told["violated"], json!(["small"]));
    let other = get(&gateway, &path).header("x-aplomb-user", "bob").whole();
    assert_eq!(other.status, 404);
    for wrong in ["x", "01890000-0000-7000-8000-000000000000", ""] {
        let answer = get(&gateway, &format!("/aplomb/v1/decisions/{wrong}")).whole();
        assert_eq!(answer.status, 404, "{wrong}");
    }
    let fine = first.header("x-aplomb-request-id").unwrap();
    let fine = get(&gateway, &format!("/aplomb/v1/decisions/{fine}")).whole();
    assert_eq!(fine.json()["decision"], "admitted");
    // The operator sees the same, by user or with the list of refusals.
    let told = gateway.admin_get("/admin/v1/limits?who=ada").whole().json();
    assert_eq!(told["decisions"][0]["decision_id"], id, "{told}");
    assert_eq!(told["limits"][0]["used"], 1);
    let shown = says(gateway.setup(), &["limits", "explain", "ada"]);
    assert!(shown.contains("1 of 1") && shown.contains(id), "{shown}");
}

#[test]
fn new_users_have_less_and_what_is_set_holds_over_a_restart() {
    let rules = "limits:\n  - 8 requests per 3h per user, id each\n  - 50 requests per 3h per tenant, id all\n\
        segments:\n  quarantine: { trust: quarantine, first: 7d, active_days: 5, models: [chat] }\n  \
        partner: { users: [p-*], trust: standard, multiplier: 3 }\nkarma: { enabled: true }\n";
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}{rules}"));
    let answer = ask(&gateway, "chat", "new");
    assert_eq!(
        answer.header("x-ratelimit-limit-requests"),
        Some("2"),
        "a quarter"
    );
    assert_eq!(ask(&gateway, "chat", "new").status, 200);
    let refused = ask(&gateway, "chat", "new");
    assert_eq!(refused.status, 429);
    let error = &refused.json()["error"];
    assert_eq!(
        error["aplomb"]["trust"],
        json!({ "level": "quarantine", "multiplier": 0.25 })
    );
    let dear = ask(&gateway, "dear", "new");
    assert_eq!(
        (dear.status, dear.error_code()),
        (403, "not_allowed".into())
    );
    // A limit that all share is not changed by one of them.
    let told = me(&gateway, "", "new");
    assert_eq!(
        (&told["limits"][1]["rule"], &told["limits"][1]["limit"]),
        (&json!("all"), &json!(50))
    );
    assert_eq!(told["segments"], json!(["quarantine"]));
    // Whom the file names is not judged.
    let partner = me(&gateway, "", "p-1");
    assert_eq!(partner["limits"][0]["limit"], 24);
    assert_eq!(partner["trust"]["score"], Value::Null);
    // A program without users is not on probation.
    let program = gateway.chat(OpenAi, "dear", false).whole();
    assert_eq!(program.status, 200);

    assert_eq!(set(&gateway, "new", "trusted").status, 200);
    assert_eq!(me(&gateway, "", "new")["limits"][0]["limit"], 16);
    assert_eq!(ask(&gateway, "dear", "new").status, 200);
    let record = gateway.wait_record("a trusted request", |record| record["trust"] == "trusted");
    assert!(record["karma"].as_f64().unwrap() > 19.0, "{record}");
    let mut gateway = gateway;
    gateway.terminate();
    gateway.wait_end();
    let gateway = gateway.killed().start();
    assert_eq!(me(&gateway, "", "new")["limits"][0]["limit"], 16);
    let told = gateway.admin_get("/admin/v1/limits?who=new").whole().json();
    assert_eq!(told["karma"]["set"]["reason"], "we know them");
    let causes: Vec<&str> = told["karma"]["moves"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["cause"].as_str())
        .collect();
    assert_eq!(
        causes,
        ["good_request", "set", "good_request", "good_request"],
        "{told}"
    );
    let cleared = says(
        gateway.setup(),
        &["limits", "clear", "new", "--tenant", "local"],
    );
    assert!(cleared.contains("level trusted -> quarantine"), "{cleared}");
    assert_eq!(set(&gateway, "new", "suspended").status, 200);
    let refused = ask(&gateway, "chat", "new");
    assert_eq!(
        (refused.status, refused.error_code()),
        (403, "not_allowed".into())
    );
}

#[test]
fn signals_move_scores_and_are_told() {
    let rules = "limits:\n  - 1000 requests per 3h per user\nkarma: { enabled: true }\n";
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}{rules}"));
    for _ in 0..3 {
        assert_eq!(ask(&gateway, "chat", "ada").status, 200);
    }
    let vouch =
        json!({ "tenant": "local", "user": "ada", "signal": "vouched", "note": "a colleague" });
    let moved = post(&gateway, "/admin/v1/limits/signal", &vouch).json();
    assert_eq!(moved["moved"]["units"], 5.0);
    let again = post(&gateway, "/admin/v1/limits/signal", &vouch).json();
    assert_eq!(again["moved"], Value::Null, "once");
    let abuse = says(
        gateway.setup(),
        &[
            "limits",
            "signal",
            "bob",
            "abuse",
            "--tenant",
            "local",
            "--note",
            "chargeback",
        ],
    );
    assert!(abuse.contains("quarantine -> quarantine"), "{abuse}");
    let users = gateway.admin_get("/admin/v1/limits/users").whole().json();
    let names: Vec<&str> = users["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|user| user["user"].as_str())
        .collect();
    assert_eq!(names, ["bob", "ada"], "the least trusted first");
    for (body, what) in [
        (
            json!({ "tenant": "local", "user": "a", "signal": "nice", "note": "x" }),
            "signal",
        ),
        (
            json!({ "tenant": "local", "user": "a", "signal": "paid", "note": "x" }),
            "usd",
        ),
        (
            json!({ "tenant": "local", "user": "a", "signal": "abuse", "usd": 3.0, "note": "x" }),
            "usd",
        ),
        (
            json!({ "tenant": "local", "user": "a", "signal": "abuse" }),
            "note",
        ),
    ] {
        let answer = post(&gateway, "/admin/v1/limits/signal", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains(what), "{}", answer.text());
    }
    // Erased, nothing is left.
    let erased = gateway.admin_get("/admin/v1/privacy/users/ada");
    let erased = erased.with_method("DELETE").whole();
    assert_eq!(erased.status, 200, "{}", erased.text());
    let users = gateway.admin_get("/admin/v1/limits/users").whole().text();
    assert!(!users.contains("\"ada\""), "{users}");
    let told = gateway
        .admin_get("/admin/v1/limits?who=ada&tenant=local")
        .whole()
        .json();
    assert_eq!(told["karma"], Value::Null, "{told}");
}

#[test]
fn plans_are_told_as_they_are_enforced() {
    let rules = "limits:\n  - 10 requests per 1h per user, id each\n  - 5 USD per 1d per user where segment = paying\n\
        plans:\n  free: { price: 0 USD per month, models: [chat] }\n  \
        pro: { price: 49 USD per month, segment: paying, budget: 30 USD per month, limits: [7 concurrent per user] }\n\
        segments:\n  paying: { plan: pro, multiplier: 4 }\n\
        tenants:\n  acme: { plan: pro }\n";
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}{rules}"));
    let setup = gateway.setup();
    let table: Value = serde_json::from_str(&says(setup, &["limits", "table", "--json"])).unwrap();
    let plan = |at: usize| table["plans"][at].clone();
    assert_eq!(plan(0)["price"], "0 USD per month");
    let of = |plan: &Value| -> Vec<(String, Value)> {
        let limits = plan["limits"].as_array().unwrap().iter();
        limits
            .map(|one| {
                (
                    one["rule"].as_str().unwrap().to_owned(),
                    one["limit"].clone(),
                )
            })
            .collect()
    };
    assert_eq!(of(&plan(0)), [("each".to_owned(), json!(10))]);
    assert_eq!(
        of(&plan(1)),
        [
            ("each".to_owned(), json!(40)),
            ("cost-1d-user-segment-paying".to_owned(), json!("5")),
            ("pro-concurrent-user".to_owned(), json!(28)),
            ("budget-plan-pro".to_owned(), json!("30")),
        ]
    );
    let text = says(setup, &["limits", "table"]);
    assert!(text.contains("pro: 49 USD per month, models all"), "{text}");
}

#[test]
fn other_limits_are_tried_on_what_was() {
    let gateway = Gateway::start(BINARY, &format!("{PRACTICE}limits: []\n"));
    for user in ["ada", "ada", "ada", "bob"] {
        assert_eq!(ask(&gateway, "chat", user).status, 200);
    }
    wait_for("the records", || {
        (gateway.records().len() == 4).then_some(())
    });
    let body = json!({ "limits": ["2 requests per 1h per user, id two", "1 requests per 1h per tenant, shadow, id one"] });
    let told = post(&gateway, "/admin/v1/limits/simulate", &body);
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(
        (
            &told["requests"],
            &told["admitted"],
            &told["refused"],
            &told["refused_then"]
        ),
        (&json!(4), &json!(3), &json!(1), &json!(0))
    );
    let two = told["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["rule"] == "two")
        .unwrap()
        .clone();
    assert_eq!((&two["refused"], &two["users"]), (&json!(1), &json!(1)));
    assert_eq!(
        two["most"],
        json!([{ "tenant": "local", "user": "ada", "times": 1 }])
    );
    let one = told["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["rule"] == "one")
        .unwrap()
        .clone();
    assert_eq!(one["shadow"], 2);
    // Nothing of it is real.
    assert_eq!(me(&gateway, "", "ada")["limits"], json!([]));
    assert_eq!(
        gateway.metric("aplomb_limits_decisions_total{rule=\"two\",decision=\"refused\"}"),
        None
    );
    for (body, what) in [
        (
            json!({ "limits": ["2 requests per 0s per user"] }),
            "window",
        ),
        (
            json!({ "limits": ["2 requests per 1h per user where segment = nope"] }),
            "nope",
        ),
        (json!({ "days": 0 }), "days"),
        (json!({ "rules": [] }), "rules"),
    ] {
        let answer = post(&gateway, "/admin/v1/limits/simulate", &body);
        assert_eq!(answer.status, 400, "{body} {}", answer.text());
        assert!(answer.text().contains(what), "{}", answer.text());
    }
}

/// An instant refusal invites thousands a minute.
#[test]
fn who_goes_on_asking_is_answered_later_and_others_are_not() {
    let gateway = Gateway::start(
        BINARY,
        &format!("{PRACTICE}limits:\n  - 1 requests per 3h per user\n"),
    );
    for _ in 0..25 {
        ask(&gateway, "chat", "eve");
    }
    let record = |user: &str| {
        let fits = |record: &Value| record["user"] == user && record["status"] == 429;
        wait_for("a refusal", || {
            gateway.records().into_iter().rev().find(fits)
        })
    };
    let late = gateway.metric("aplomb_limits_delayed_total").unwrap();
    assert!(late >= 10.0, "{late}");
    ask(&gateway, "chat", "ada");
    ask(&gateway, "chat", "ada");
    let slow = wait_for("all refusals", || {
        let all: Vec<u64> = gateway
            .records()
            .iter()
            .filter(|record| record["user"] == "eve" && record["status"] == 429)
            .filter_map(|record| record["total_us"].as_u64())
            .collect();
        (all.len() == 24).then(|| all.into_iter().max())
    });
    assert!(slow.unwrap() >= 50_000, "{slow:?}");
    assert_eq!(
        gateway.metric("aplomb_limits_delayed_total"),
        Some(late),
        "nobody else"
    );
    assert!(record("ada")["total_us"].as_u64().is_some());
}

/// Wrong requests cost trust, what is paid earns some; each is told with what shows it.
#[test]
fn wrong_requests_and_payments_move_a_score() {
    let wrong =
        json!({ "error": { "message": "no such parameter", "type": "invalid_request_error" } });
    let upstream = Upstream::start(move |seen| match seen.model().as_str() {
        "bad" => vec![Step::Send(wire::json_answer(400, &wrong))],
        _ => wire::good(seen, &["hello"]),
    });
    let url = upstream.url();
    let gateway = Gateway::start(
        BINARY,
        &format!(
            "providers:\n  up: {{ kind: openai, base_url: \"{url}/v1\", api_key: env:UP_KEY }}\n\
             routes:\n  good: {{ targets: [up/good] }}\n  bad: {{ targets: [up/bad] }}\n\
             limits: []\nkarma: {{ enabled: true }}\n"
        ),
    );
    for n in 0..24 {
        let (model, status) = if n % 3 == 0 {
            ("bad", 400)
        } else {
            ("good", 200)
        };
        assert_eq!(ask(&gateway, model, "eve").status, status);
    }
    let last = ask(&gateway, "bad", "eve");
    let paid = says(
        gateway.setup(),
        &[
            "limits",
            "signal",
            "eve",
            "paid",
            "--tenant",
            "local",
            "--usd",
            "20",
            "--note",
            "invoice 7",
        ],
    );
    assert!(paid.starts_with("score 1"), "{paid}");
    let told = gateway.admin_get("/admin/v1/limits?who=eve").whole().json();
    let moves = told["karma"]["moves"].as_array().unwrap();
    let of = |cause: &str| {
        moves
            .iter()
            .filter(|one| one["cause"] == cause)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("faulty_requests").len(), of("good_request").len()),
        (1, 16),
        "{told}"
    );
    let faulty = of("faulty_requests")[0];
    assert_eq!(faulty["units"], -0.5);
    let shows = faulty["evidence"].as_str().unwrap();
    assert!(shows.len() == 36 && shows != last.header("x-aplomb-request-id").unwrap());
    assert_eq!(
        (&of("paid")[0]["units"], &of("paid")[0]["evidence"]),
        (&json!(2.0), &json!("invoice 7"))
    );
}
