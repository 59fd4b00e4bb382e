//! The texts that a cause is told from, taken apart.

/// So many ends of a part say that there will be more; by then it was tried for a minute.
const ENOUGH_RUNS: u32 = 3;

/// What kubeadm printed, and the node's log by who wrote it.
pub(super) struct Evidence<'a> {
    pub(super) printed: Vec<&'a str>,
    /// Lines of kubelet, containerd and systemd.
    pub(super) units: Vec<&'a str>,
    /// Logs of the control plane's containers, one entry a run.
    pub(super) parts: Vec<PartLog<'a>>,
    /// Lines of `df`.
    disks: Vec<&'a str>,
}

/// The log of one run of a container.
pub(super) struct PartLog<'a> {
    /// Name of the container, e.g. `kube-apiserver`.
    pub(super) part: &'a str,
    /// How often it was started before.
    run: u32,
    pub(super) lines: Vec<&'a str>,
}

impl<'a> Evidence<'a> {
    pub(super) fn new(printed: &'a str, node_log: &'a str) -> Self {
        let printed = printed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut evidence = Self { printed, units: Vec::new(), parts: Vec::new(), disks: Vec::new() };
        let mut in_disks = false;
        for line in node_log.lines() {
            in_disks |= line.starts_with("Filesystem ") && line.contains("Mounted on");
            if in_disks {
                evidence.disks.push(line);
            } else if let Some(path) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
                // …/kube-system_POD_UID/CONTAINER/RUN.log
                let mut names = path.trim_end_matches(".log").rsplit('/');
                let run = names.next().and_then(|run| run.parse().ok()).unwrap_or(0);
                evidence.parts.push(PartLog { part: names.next().unwrap_or(path), run, lines: Vec::new() });
            } else if let Some(log) = evidence.parts.last_mut() {
                log.lines.push(container_line(line));
            } else {
                evidence.units.push(line.trim());
            }
        }
        evidence
    }

    /// Every line, kubeadm's first.
    pub(super) fn all(&self) -> impl Iterator<Item = &'a str> {
        let parts = self.parts.iter().flat_map(|log| log.lines.iter());
        self.printed.iter().chain(&self.units).chain(parts).copied()
    }

    /// Every line with the part that wrote it, the kubelet's under `kubelet`.
    pub(super) fn by_part(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let units = self.units.iter().map(|line| ("kubelet", *line));
        units.chain(self.parts.iter().flat_map(|log| log.lines.iter().map(|line| (log.part, *line))))
    }

    /// True if a disk has no room left.
    pub(super) fn disk_is_full(&self) -> bool {
        self.disks.iter().any(|line| line.split_whitespace().any(|word| word == "100%"))
    }

    /// True if a part that ended with these words has ended so often that it will again. While others
    /// still start, parts end because they do not answer.
    pub(super) fn has_given_up(&self, part: &str, words: &str) -> bool {
        let runs = self.parts.iter().filter(|log| log.part == part).map(|log| log.run).max();
        runs.is_some_and(|runs| runs >= ENOUGH_RUNS) && !is_lonely(words)
    }

    /// The last line of kubeadm's that says something.
    pub(super) fn last_words(&self) -> Option<String> {
        let last = self.printed.iter().rfind(|line| !line.starts_with("To see the stack trace"))?;
        Some(message(last).to_owned())
    }
}

/// True for last words of a part that others did not answer in time: on a slow host they will the next time.
pub(super) fn is_lonely(words: &str) -> bool {
    let lonely = ["deadline", "refused", "timeout", "timed out", "unavailable", "EOF", "no such host", "lost"];
    lonely.iter().any(|reason| words.contains(reason))
}

/// A line of a container's log without the runtime's `time stream tag`.
fn container_line(line: &str) -> &str {
    let mut words = line.splitn(4, ' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some("stdout" | "stderr"), Some("F" | "P"), Some(rest)) => rest,
        _ => line,
    }
}

/// What follows `marker` in a line.
pub(super) fn after<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.split_once(marker).map(|(_, rest)| rest)
}

/// The first word of a text, without quotes and punctuation around it.
pub(super) fn word(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | ';' | ')')).unwrap_or(text.len());
    text[..end].trim_end_matches([':', '.', '\''])
}

/// A log line without klog's or etcd's header: `E1122 07:52:08.164677     140 file.go:191] text` → `text`.
pub(super) fn message(line: &str) -> &str {
    let is_klog = |head: &str| head.len() == 5 && head[1..].bytes().all(|byte| byte.is_ascii_digit());
    if line.get(..5).is_some_and(|head| head.starts_with(['I', 'W', 'E', 'F']) && is_klog(head)) {
        return after(line, "] ").unwrap_or(line);
    }
    match line.split_once(" | ") {
        Some((head, text)) if head.len() < 40 && head.starts_with("20") => text,
        _ => line,
    }
}
