//! Which operators a model uses: ONNX Runtime's, and functions of its own, which are written out wherever they are
//! called. A small file can call functions that call functions until there are more nodes than any memory holds.

use std::collections::{HashMap, HashSet};

use super::error::{Place, shown};
use super::limits::ContractLimits;

/// An operator by its domain and its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Operator {
    pub(super) domain: String,
    pub(super) name: String,
}

/// The operators of a model, by number.
#[derive(Debug, Default)]
pub(super) struct Operators {
    numbers: HashMap<Operator, usize>,
    /// Where those are used for the first time that are not ONNX Runtime's.
    foreign: Vec<(usize, Place)>,
    functions: HashMap<usize, Body>,
}

/// How often each operator stands in a graph or in a function, with the graphs inside.
#[derive(Debug, Default)]
pub(super) struct Body(HashMap<usize, u64>);

/// What is wrong with the operators of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OperatorFault {
    /// It would take a library to run, and a library can do anything.
    #[error(
        "operator `{}` of the domain `{}` is neither ONNX Runtime's nor a function of the model, and custom operators are not allowed",
        shown(.name), shown(.domain)
    )]
    Custom { domain: String, name: String },
    /// It has no end.
    #[error("function `{}` of the domain `{}` calls itself", shown(.name), shown(.domain))]
    CallsItself { domain: String, name: String },
    /// A small file, a huge model.
    #[error(
        "with its functions written out where they are called, the model has more than {0} nodes"
    )]
    TooManyWrittenOut(u64),
}

/// The domains that ONNX Runtime 1.32 has operators for in itself. The empty one is ONNX's own.
const KNOWN_DOMAINS: &[&str] = &[
    "",
    "ai.onnx.ml",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "ai.onnx.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
    "org.pytorch.aten",
];

impl Operator {
    /// ONNX's own domain has two names.
    pub(super) fn new(domain: String, name: String) -> Self {
        let domain = if domain == "ai.onnx" { String::new() } else { domain };
        Self { domain, name }
    }

    /// Whether its domain is one that ONNX Runtime, or the operator of the server, answers for.
    pub(super) fn is_foreign(&self, limits: &ContractLimits) -> bool {
        !KNOWN_DOMAINS.contains(&self.domain.as_str()) && !limits.domains.contains(&self.domain)
    }
}

impl Operators {
    /// How many different ones there are.
    pub(super) fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The operator's number, and whether this is the first time.
    pub(super) fn number(&mut self, operator: Operator) -> (usize, bool) {
        let next = self.numbers.len();
        let number = *self.numbers.entry(operator).or_insert(next);
        (number, number == next)
    }

    pub(super) fn note_foreign(&mut self, number: usize, place: Place) {
        self.foreign.push((number, place));
    }

    /// Takes a function. What stands there twice, for other types of inputs, counts as the larger of both.
    pub(super) fn define(&mut self, function: usize, body: Body) {
        let known = self.functions.entry(function).or_default();
        for (operator, times) in body.0 {
            let most = known.0.entry(operator).or_default();
            *most = times.max(*most);
        }
    }

    /// Says whether all operators are allowed.
    pub(super) fn check_foreign(&self) -> Result<(), (OperatorFault, Place)> {
        let is_defined = |number: &usize| self.functions.contains_key(number);
        match self.foreign.iter().find(|(number, _)| !is_defined(number)) {
            None => Ok(()),
            Some((number, place)) => {
                let Operator { domain, name } = self.named(*number);
                Err((OperatorFault::Custom { domain, name }, place.clone()))
            }
        }
    }

    /// How many nodes a graph has when every function is written out where it is called.
    pub(super) fn written_out(&self, graph: &Body, most: u64) -> Result<u64, OperatorFault> {
        let sizes = self.sizes()?;
        let nodes = self.size_of(graph, &sizes);
        if nodes > most { Err(OperatorFault::TooManyWrittenOut(most)) } else { Ok(nodes) }
    }

    /// The nodes of each function, with those of the functions that it calls: first those that call none, then
    /// those that call only them, and so on.
    fn sizes(&self) -> Result<HashMap<usize, u64>, OperatorFault> {
        let mut callers: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut waits_for: HashMap<usize, usize> = HashMap::new();
        for (&function, body) in &self.functions {
            let called = body.0.keys().filter(|called| self.functions.contains_key(called));
            for &called in called {
                callers.entry(called).or_default().push(function);
                *waits_for.entry(function).or_default() += 1;
            }
        }
        let mut sizes = HashMap::new();
        let is_free = |function: &&usize| !waits_for.contains_key(function);
        let mut free: Vec<usize> = self.functions.keys().filter(is_free).copied().collect();
        while let Some(function) = free.pop() {
            sizes.insert(function, self.size_of(&self.functions[&function], &sizes));
            for caller in callers.remove(&function).unwrap_or_default() {
                if let Some(left) = waits_for.get_mut(&caller) {
                    *left -= 1;
                    if *left == 0 {
                        free.push(caller);
                    }
                }
            }
        }
        match self.in_a_circle(&sizes) {
            None => Ok(sizes),
            Some(function) => {
                let Operator { domain, name } = self.named(function);
                Err(OperatorFault::CallsItself { domain, name })
            }
        }
    }

    /// A function that calls itself, by way of others perhaps: going on from one whose size is not known to one that
    /// it waits for, we come to where we have been. It is the same each time.
    fn in_a_circle(&self, sizes: &HashMap<usize, u64>) -> Option<usize> {
        let has_no_size = |function: &&usize| {
            self.functions.contains_key(function) && !sizes.contains_key(function)
        };
        let mut at = *self.functions.keys().filter(has_no_size).min()?;
        let mut seen = HashSet::new();
        while seen.insert(at) {
            at = *self.functions[&at].0.keys().filter(has_no_size).min()?;
        }
        Some(at)
    }

    fn size_of(&self, body: &Body, sizes: &HashMap<usize, u64>) -> u64 {
        let nodes = body.0.iter().map(|(operator, times)| {
            // An empty function leaves nothing, but has been a node until then.
            times.saturating_mul(sizes.get(operator).copied().unwrap_or(1).max(1))
        });
        nodes.fold(0, u64::saturating_add)
    }

    fn named(&self, number: usize) -> Operator {
        let found = self.numbers.iter().find(|(_, known)| **known == number);
        found.map_or_else(
            || Operator::new(String::new(), String::new()),
            |(operator, _)| operator.clone(),
        )
    }
}

impl Body {
    pub(super) fn add(&mut self, operator: usize) {
        *self.0.entry(operator).or_default() += 1;
    }
}
