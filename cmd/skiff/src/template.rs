//! The part of Go's template language that `--format` understands: text, `{{.Field}}`, string
//! literals such as `{{"\n"}}`, and the trim marks `{{-` and `-}}`.

use crate::failure::Failure;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl Template {
    /// Reads a template whose fields must be among `fields`.
    pub(crate) fn parse(text: &str, fields: &[&str]) -> Result<Self, Failure> {
        let mut parts = Vec::new();
        let mut rest = text;
        let mut trim_next = false;
        while let Some((before, after)) = rest.split_once("{{") {
            let (action, after) =
                after.split_once("}}").ok_or_else(|| unreadable(text, "an opening `{{` is never closed", fields))?;
            let trims_before = action.starts_with("- ") || action == "-";
            let trims_after = action.ends_with(" -") || action == "-";
            let before = if trim_next { before.trim_start() } else { before };
            let before = if trims_before { before.trim_end() } else { before };
            push_text(&mut parts, before);
            let inner = action.strip_prefix("- ").unwrap_or(action);
            let inner = inner.strip_suffix(" -").unwrap_or(inner).trim();
            parts.push(
                Self::action(inner)
                    .filter(|part| known(part, fields))
                    .ok_or_else(|| unreadable(text, &format!("`{{{{{action}}}}}` is not supported"), fields))?,
            );
            (rest, trim_next) = (after, trims_after);
        }
        push_text(&mut parts, if trim_next { rest.trim_start() } else { rest });
        Ok(Self { parts })
    }

    fn action(inner: &str) -> Option<Part> {
        let name = |text: &&str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some(field) = inner.strip_prefix('.').filter(name) {
            return Some(Part::Field(field.to_owned()));
        }
        if let Some(raw) = inner.strip_prefix('`').and_then(|text| text.strip_suffix('`')) {
            return Some(Part::Text(raw.to_owned()));
        }
        // Go's quoted strings and JSON's agree on all escapes people use here.
        inner.starts_with('"').then(|| serde_json::from_str(inner).ok().map(Part::Text))?
    }

    /// Fills in the fields.
    pub(crate) fn render(&self, value: impl Fn(&str) -> String) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(name) => value(name),
        };
        self.parts.iter().map(part).collect()
    }
}

fn known(part: &Part, fields: &[&str]) -> bool {
    match part {
        Part::Text(_) => true,
        Part::Field(name) => fields.contains(&name.as_str()),
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.to_owned()));
    }
}

fn unreadable(text: &str, problem: &str, fields: &[&str]) -> Failure {
    let fields: Vec<String> = fields.iter().map(|field| format!("{{{{.{field}}}}}")).collect();
    Failure::usage(
        format!("the template `{text}` cannot be used: {problem}"),
        format!("Use text with these fields: {}.", fields.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Result<String, Failure> {
        Ok(Template::parse(text, &["Host", "APIServer"])?.render(|field| format!("<{field}>")))
    }

    #[test]
    fn fields_and_literals_are_filled_in() {
        for (template, text) in [
            ("{{.Host}}", "<Host>"),
            ("host: {{ .Host }}, api: {{.APIServer}}.", "host: <Host>, api: <APIServer>."),
            (r#"{{.Host}}{{"\n"}}"#, "<Host>\n"),
            ("{{.Host}}{{`\\n`}}", "<Host>\\n"),
            ("a  {{- .Host -}}  b", "a<Host>b"),
            ("no field", "no field"),
        ] {
            assert_eq!(render(template).unwrap(), text, "{template}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        for (template, part) in [
            ("{{range .Nodes}}x{{end}}", "`{{range .Nodes}}` is not supported"),
            ("{{.Hots}}", "`{{.Hots}}` is not supported"),
            ("{{.Host | len}}", "is not supported"),
            ("{{.Host", "never closed"),
        ] {
            let failure = render(template).unwrap_err();
            assert!(failure.message.contains(part), "{}", failure.message);
            assert!(failure.advice.contains("{{.Host}} {{.APIServer}}"), "{}", failure.advice);
            assert_eq!(failure.exit.0, 14);
        }
    }
}
