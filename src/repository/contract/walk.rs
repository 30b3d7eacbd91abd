//! The way through a model: everything in it that has tensors or nodes is visited once, in the order of the file.
//! This is the model itself and its functions; [`super::graph`] has the graphs.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use super::Contract;
use super::error::{Breach, ContractError, Place, Stop, shown};
use super::external::Beside;
use super::limits::ContractLimits;
use super::operators::{Body, Operator, Operators};
use super::schema::{function, model, opset, training};
use super::tensor::Weights;
use super::wire::{Fields, Reader, Span, Value};

/// A walk through one model, and what was found on it so far.
#[derive(Debug)]
pub(super) struct Walk<'a, R> {
    pub(super) reader: Reader<R>,
    pub(super) beside: Beside,
    pub(super) limits: &'a ContractLimits,
    pub(super) operators: Operators,
    /// What we are in, from the outside in. It is left as it is where the walk ends early, to say where that was.
    path: Vec<Step>,
    pub(super) nodes: u64,
    pub(super) initializers: u64,
    pub(super) weights: Weights,
}

/// Something that is in something else.
#[derive(Clone, Copy, Debug)]
struct Step {
    what: &'static str,
    /// Which of them, from 1 on; none where there is just one.
    number: Option<u64>,
    name: Option<Span>,
}

impl<'a, R: Read + Seek> Walk<'a, R> {
    pub(super) fn new(reader: Reader<R>, beside: Beside, limits: &'a ContractLimits) -> Self {
        Self {
            reader,
            beside,
            limits,
            operators: Operators::default(),
            path: Vec::new(),
            nodes: 0,
            initializers: 0,
            weights: Weights::default(),
        }
    }

    /// Goes through the whole model.
    pub(super) fn check(&mut self) -> Result<Contract, ContractError> {
        self.model().map_err(|stop| match stop {
            Stop::Unreadable(error) => ContractError::Unreadable(error),
            Stop::At(place, breach) => ContractError::Broken { place, breach },
            Stop::Here(breach) => match self.place() {
                Ok(place) => ContractError::Broken { place, breach },
                Err(error) => ContractError::Unreadable(error),
            },
        })
    }

    /// The first bytes of the file.
    pub(super) fn beginning(&mut self) -> io::Result<&[u8]> {
        self.reader.beginning()
    }

    fn model(&mut self) -> Result<Contract, Stop> {
        const MOST_DOMAINS: u64 = 1000;
        let mut fields = Fields::of(&model::MESSAGE, self.reader.whole());
        let mut main = None;
        let mut opsets = BTreeMap::new();
        let mut functions = 0;
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (model::GRAPH, Value::Bytes(span)) => {
                    let mut body = Body::default();
                    let outputs = self.graph(span, &mut body, 0)?;
                    main = Some((outputs, body));
                }
                (model::OPSET_IMPORT, Value::Bytes(span)) => {
                    let (domain, version) = self.opset(span)?;
                    opsets.insert(domain, version);
                    at_most(opsets.len() as u64, MOST_DOMAINS, "domains of operators")?;
                }
                (model::TRAINING_INFO, Value::Bytes(span)) => {
                    self.within("training information", None, |walk| walk.training(span))?;
                }
                (model::FUNCTIONS, Value::Bytes(span)) => {
                    functions += 1;
                    self.within("function", Some(functions), |walk| walk.function(span))?;
                }
                _ => {}
            }
        }
        let (outputs, body) = main.ok_or(Breach::NoGraph)?;
        if outputs == 0 {
            return Err(Breach::NoOutputs.into());
        }
        if opsets.is_empty() {
            return Err(Breach::NoOpset.into());
        }
        self.operators.check_foreign().map_err(|(fault, place)| Stop::At(place, fault.into()))?;
        let nodes = self.operators.written_out(&body, self.limits.nodes)?;
        let Weights { inside, outside, .. } = self.weights;
        let file_bytes = self.reader.whole().length();
        Ok(Contract { file_bytes, nodes, opsets, inline_bytes: inside, external_bytes: outside })
    }

    fn opset(&mut self, span: Span) -> Result<(String, i64), Stop> {
        let mut fields = Fields::of(&opset::MESSAGE, span);
        let (mut domain, mut version) = (String::new(), 0);
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (opset::DOMAIN, Value::Bytes(span)) => domain = self.reader.name(span)?,
                (opset::VERSION, Value::Number(number)) => version = number as i64,
                _ => {}
            }
        }
        Ok((domain, version))
    }

    fn training(&mut self, span: Span) -> Result<(), Stop> {
        let mut fields = Fields::of(&training::MESSAGE, span);
        while let Some(field) = self.reader.next(&mut fields)? {
            if let (training::INITIALIZATION | training::ALGORITHM, Value::Bytes(span)) =
                (field.number, field.value)
            {
                self.graph(span, &mut Body::default(), 0)?;
            }
        }
        Ok(())
    }

    fn function(&mut self, span: Span) -> Result<(), Stop> {
        let mut fields = Fields::of(&function::MESSAGE, span);
        let (mut domain, mut name, mut body) = (String::new(), String::new(), Body::default());
        let (mut nodes, mut attributes) = (0, 0);
        while let Some(field) = self.reader.next(&mut fields)? {
            match (field.number, field.value) {
                (function::NAME, Value::Bytes(span)) => {
                    self.call(span);
                    name = self.reader.name(span)?;
                }
                (function::DOMAIN, Value::Bytes(span)) => domain = self.reader.name(span)?,
                (function::NODE, Value::Bytes(span)) => {
                    nodes += 1;
                    self.node(span, nodes, &mut body, 0)?;
                }
                (function::ATTRIBUTE, Value::Bytes(span)) => {
                    attributes += 1;
                    self.attribute(span, attributes, &mut body, 0)?;
                }
                _ => {}
            }
        }
        let (number, _) = self.operators.number(Operator::new(domain, name));
        self.operators.define(number, body);
        at_most(self.operators.count() as u64, self.limits.operators as u64, "different operators")
    }

    /// Does something in a part of what we are in.
    pub(super) fn within<T>(
        &mut self,
        what: &'static str,
        number: Option<u64>,
        work: impl FnOnce(&mut Self) -> Result<T, Stop>,
    ) -> Result<T, Stop> {
        self.path.push(Step { what, number, name: None });
        let done = work(self)?;
        self.path.pop();
        Ok(done)
    }

    /// Notes the name of what we are in.
    pub(super) fn call(&mut self, name: Span) {
        if let Some(step) = self.path.last_mut() {
            step.name = Some(name);
        }
    }

    /// Where we are.
    pub(super) fn place(&mut self) -> io::Result<Place> {
        let mut steps = Vec::new();
        for step in self.path.iter().rev() {
            let name = step.name.filter(|name| name.length() > 0);
            steps.push(match (name, step.number) {
                (Some(name), _) => format!("{} `{}`", step.what, shown(&self.reader.name(name)?)),
                (None, Some(number)) => format!("{} {number}", step.what),
                (None, None) => step.what.to_owned(),
            });
        }
        Ok(Place(steps))
    }
}

/// Says whether there are not too many.
pub(super) fn at_most(count: u64, most: u64, what: &'static str) -> Result<(), Stop> {
    if count > most { Err(Breach::TooMany { what, most }.into()) } else { Ok(()) }
}
