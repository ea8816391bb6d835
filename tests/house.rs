//! The house rules that a reader relies on, kept by a test.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// The layers, from the lowest up: each imports only from those before it.
const LAYERS: [&str; 13] = [
    "status", "text", "sys", "sync", "thread", "lock", "io", "phase", "report", "runtime", "exit",
    "finalize", "capi",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources(below: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn core() -> Vec<(PathBuf, String)> {
    let found = sources(&root());
    assert!(found.len() > 20, "the sources were found");
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn offenders(offends: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let all = core();
    let named = all.iter().map(|(path, text)| (name(path), text));
    let mut found: Vec<_> = named.filter(|(n, t)| offends(n, t)).map(|(n, _)| n).collect();
    found.sort();
    found
}

#[test]
fn a_file_is_one_concept_of_at_most_500_lines() {
    assert_eq!(offenders(|_, text| text.lines().count() > 500), Vec::<String>::new());
}

/// What is below `sys` is never part of a model, so it needs no door to its atomics.
#[test]
fn atomics_parking_and_time_are_used_through_the_door_only() {
    let doors = [
        "std::sync::atomic",
        "parking_lot",
        "Instant::now",
        ".elapsed()",
        "thread::sleep",
        "thread::park",
        "Condvar",
    ];
    let code = |text: &str| {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    };
    let found = offenders(|name, text| {
        let may = name.starts_with("sync/") || name.starts_with("sys/");
        !may && doors.iter().any(|door| code(text).contains(door))
    });
    assert_eq!(found, Vec::<String>::new());
}

// ---- imports ----

/// A module, by the names of its path: `["io", "descriptor"]`.
type Module = Vec<String>;

/// What a file imports, and the types that it defines and gives methods.
#[derive(Default)]
struct Seen {
    module: Module,
    /// Paths as they are written, with `self` and `super` resolved.
    paths: BTreeSet<Vec<String>>,
    defines: BTreeSet<String>,
    implements: BTreeSet<String>,
}

impl Seen {
    fn path(&mut self, words: Vec<String>) {
        let mut base = match words.first().map(String::as_str) {
            Some("crate") => Module::new(),
            Some("self") => self.module.clone(),
            Some("super") => self.module[..self.module.len() - 1].to_vec(),
            // A child's name is a path, too.
            Some(_) => self.module.iter().chain(words.first()).cloned().collect(),
            None => return,
        };
        let mut rest = &words[1..];
        while rest.first().is_some_and(|word| word == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        self.paths.insert(base);
    }

    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |word: &syn::Ident| [prefix, &[word.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) if name.ident == "self" => self.path(prefix.to_vec()),
            syn::UseTree::Name(name) => self.path(with(&name.ident)),
            syn::UseTree::Rename(rename) if rename.ident == "self" => self.path(prefix.to_vec()),
            syn::UseTree::Rename(rename) => self.path(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.path(prefix.to_vec()),
            syn::UseTree::Group(group) => group.items.iter().for_each(|one| self.tree(prefix, one)),
        }
    }

    /// Paths inside a macro's words.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut words: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(word) if words.is_empty() || colons == 2 => {
                    words.push(word.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && colons < 2 => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                _ => {}
            }
            self.path(std::mem::take(&mut words));
            colons = 0;
        }
        self.path(words);
    }
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else { return false };
        list.path.is_ident("cfg") && list.tokens.to_string().contains("test")
    })
}

impl<'ast> Visit<'ast> for Seen {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_for_tests(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.path(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.defines.insert(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.defines.insert(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let (None, syn::Type::Path(of)) = (&item.trait_, &*item.self_ty)
            && let Some(last) = of.path.segments.last()
        {
            self.implements.insert(last.ident.to_string());
        }
        visit::visit_item_impl(self, item);
    }
}

fn seen() -> Vec<Seen> {
    let read = |(path, text): (PathBuf, String)| {
        let name = name(&path);
        let module: Module =
            name.strip_suffix(".rs").unwrap().split('/').map(String::from).collect();
        let mut seen = Seen { module, ..Seen::default() };
        seen.visit_file(&syn::parse_file(&text).unwrap_or_else(|e| panic!("{name}: {e}")));
        seen
    };
    // The face of the crate, and what must not compile, are no layers.
    let is_layer = |seen: &Seen| !["lib", "must_not_compile"].contains(&&*seen.module[0]);
    core().into_iter().map(read).filter(is_layer).collect()
}

/// Who imports whom, file by file.
fn imports(all: &[Seen]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<&Module> = all.iter().map(|seen| &seen.module).collect();
    let of_path = |path: &Vec<String>| {
        let mut path = path.clone();
        while !path.is_empty() && !modules.contains(&path) {
            path.pop();
        }
        (!path.is_empty()).then_some(path)
    };
    let of_file = |seen: &Seen| {
        let found = seen.paths.iter().filter_map(of_path).filter(|other| *other != seen.module);
        (seen.module.clone(), found.collect())
    };
    all.iter().map(of_file).collect()
}

/// The siblings in a folder, and who of them imports whom, each with a file that does. What a folder's face
/// imports of the folder, and what is in the folder of its face, is between the two.
fn siblings(
    folder: &[String],
    imports: &BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeMap<(String, String), String> {
    let depth = folder.len();
    let inside = |module: &Module| module.len() > depth && module.starts_with(folder);
    let mut found = BTreeMap::new();
    for (from, all) in imports.iter().filter(|(from, _)| inside(from)) {
        for to in all.iter().filter(|to| inside(to) && to[depth] != from[depth]) {
            let arrow = format!("{} imports {}", from.join("/"), to.join("/"));
            found.entry((from[depth].clone(), to[depth].clone())).or_insert(arrow);
        }
    }
    found
}

/// The arrows of a cycle, if there is one.
fn cycle(arrows: &BTreeMap<(String, String), String>) -> Option<Vec<String>> {
    fn search<'a>(
        at: &'a str,
        arrows: &'a BTreeMap<(String, String), String>,
        path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|known| *known == at) {
            path.push(at);
            let of = |pair: &[&str]| arrows[&(pair[0].to_owned(), pair[1].to_owned())].clone();
            return Some(path[start..].windows(2).map(of).collect());
        }
        if !done.insert(at) {
            return None;
        }
        path.push(at);
        let next = arrows.keys().filter(|(from, _)| from == at).map(|(_, to)| to.as_str());
        let found = next.into_iter().find_map(|to| search(to, arrows, path, done));
        if found.is_none() {
            path.pop();
        }
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|(from, _)| search(from, arrows, &mut Vec::new(), &mut done))
}

#[test]
fn imports_go_down_only() {
    let imports = imports(&seen());
    let arrows = siblings(&[], &imports);
    assert!(arrows.len() > 30, "the imports were found");
    let place = |layer: &str| LAYERS.iter().position(|known| *known == layer);
    for (from, to) in arrows.keys() {
        assert!(place(from).is_some() && place(to).is_some(), "{from} or {to} is no layer");
    }
    let up: Vec<_> = arrows
        .iter()
        .filter(|((from, to), _)| place(from) < place(to))
        .map(|(_, arrow)| arrow.clone())
        .collect();
    assert_eq!(up, Vec::<String>::new(), "these go up");
}

#[test]
fn no_folder_has_a_cycle_of_imports() {
    let imports = imports(&seen());
    let folders: BTreeSet<&[String]> =
        imports.keys().flat_map(|module| (0..module.len()).map(|depth| &module[..depth])).collect();
    let cycles: Vec<_> =
        folders.iter().filter_map(|folder| cycle(&siblings(folder, &imports))).collect();
    assert_eq!(cycles, Vec::<Vec<String>>::new());
}

#[test]
fn a_cycle_is_found() {
    let arrow = |from: &str, to: &str| ((from.to_owned(), to.to_owned()), format!("{from} {to}"));
    let round =
        BTreeMap::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "b"), arrow("d", "a")]);
    assert_eq!(cycle(&round), Some(vec!["b c".to_owned(), "c b".to_owned()]));
    assert_eq!(cycle(&BTreeMap::from([arrow("a", "b"), arrow("a", "c"), arrow("b", "c")])), None);
}

#[test]
fn the_methods_of_a_type_are_in_its_file_or_folder() {
    let all = seen();
    let mut strays = Vec::new();
    for seen in &all {
        for implemented in seen.implements.difference(&seen.defines) {
            let homes: Vec<_> =
                all.iter().filter(|other| other.defines.contains(implemented)).collect();
            let is_home = |home: &&Seen| seen.module.starts_with(&home.module);
            if !homes.is_empty() && !homes.iter().any(is_home) {
                strays.push(format!("{} of {implemented}", seen.module.join("/")));
            }
        }
    }
    assert_eq!(strays, Vec::<String>::new());
}

/// Unsafe code stays in the C layer and in the files that talk to the platform or hold the lock's data.
#[test]
fn unsafe_code_stays_where_it_belongs() {
    let may = [
        "exit/hard_exit.rs",
        "finalize/watchdog/host_words.rs",
        "io.rs",
        "io/query.rs",
        "io/c_runtime.rs",
        "io/descriptor.rs",
        "io/errno.rs",
        "io/worker.rs",
        "io/worker/request.rs",
        "io/handle.rs",
        "io/pipe.rs",
        "io/poll.rs",
        "io/sigpipe.rs",
        "io/standard_error.rs",
        "lock/recoverable.rs",
        "must_not_compile.rs",
        "report/output.rs",
        "report/publish.rs",
        "runtime/attachment.rs",
        "runtime/attachment/own.rs",
        "runtime/attachment/parked.rs",
        "runtime/environment.rs",
        "runtime/guards/table.rs",
        "runtime/objects/refusals.rs",
        "runtime/overlapped/aio.rs",
        "runtime/overlapped/aio/after_fork.rs",
        "runtime/overlapped/host.rs",
        "runtime/overlapped/kernel.rs",
        "runtime/reentry.rs",
        "runtime/writer/rescue_list.rs",
        "sync/fence.rs",
        "sync/fork.rs",
        "sync/futex.rs",
        "sync/parking/native.rs",
        "sync/parking/portable.rs",
        "sync/real.rs",
        "sync/helper/native.rs",
        "sync/slab.rs",
        "sys/c_runtime.rs",
        "sys/cancellation.rs",
        "sys/cell.rs",
        "sys/loaded_code.rs",
        "sys/memory.rs",
        "sys/memory/reserve.rs",
        "sys/process_end.rs",
        "sys/signals.rs",
        "sys/thread_activity.rs",
        "sys/thread_exit.rs",
        "thread/host_call.rs",
        "thread/record/handle.rs",
        "thread/this_thread.rs",
        "thread/this_thread/duties.rs",
        "thread/this_thread/end.rs",
        "thread/this_thread/fork_hooks.rs",
    ];
    let found = offenders(|name, text| {
        !name.starts_with("capi/")
            && !may.contains(&name)
            && text.split("#[cfg(test)]").next().unwrap().contains("unsafe ")
    });
    assert_eq!(found, Vec::<String>::new());
}
