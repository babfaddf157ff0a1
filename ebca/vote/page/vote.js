// The page of a vote. What users have written is only ever put into the page as text.

const $ = (id) => document.getElementById(id);
const KEYS = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "same", ArrowDown: "bad"};

let here = {poll: 0, voter: 0, view: null, busy: false, timer: 0};

// Asking the server

async function ask(path, given) {
    const how = given === undefined ? {} : {method: "POST", headers: {"X-EBCA-Vote": "1", "Content-Type": "application/json"}, body: JSON.stringify(given)};
    const response = await fetch(`api/${path}`, how).catch(() => {
        throw new Error("The program that this page belongs to does not answer.");
    });
    const answer = await response.json().catch(() => ({error: `The server says ${response.status}. If you must log in, load the page again.`}));
    if (!response.ok) throw new Error(answer.error || answer.detail || `The server says ${response.status}.`);
    return answer;
}

function complain(text) {
    $("problem").textContent = text;
    $("problem").hidden = !text;
}

// Run what may fail; one at a time, so that no vote is cast twice.
async function attempt(what) {
    if (here.busy) return;
    here.busy = true;
    document.body.setAttribute("aria-busy", "true");
    try {
        await what();
        if ($("problem").dataset.of !== "making") complain("");
    } catch (error) {
        delete $("problem").dataset.of;
        complain(error.message);
    } finally {
        here.busy = false;
        document.body.removeAttribute("aria-busy");
    }
}

// The same for what must not be lost: when what is under way is done.
async function afterwards(what) {
    while (here.busy) await new Promise((done) => setTimeout(done, 30));
    await attempt(what);
}

function made(tag, text, facts = {}) {
    return Object.assign(document.createElement(tag), {textContent: text, ...facts});
}

function show(name) {
    for (const each of ["home", "booth", "result"]) $(each).hidden = each !== name;
}

const pairs = (count) => `${count} pair${count === 1 ? "" : "s"}`;

// All votes, and a new one

function waiting(poll) {
    return poll.pairs.wanted || 0;
}

function ready(poll) {
    return poll.pairs.ready || 0;
}

// What a voter has still to do in a poll of the list.
function left(poll) {
    const all = ready(poll) + waiting(poll), rest = all - poll.done;
    const told = !all ? "no pairs to vote on" : !rest ? `you have voted on ${all === 1 ? "the one pair" : `all ${all} pairs`}` : poll.done ? `${rest} of ${pairs(all)} left to vote on` : `${pairs(all)} to vote on`;
    const missing = waiting(poll) ? `, ${waiting(poll)} ${poll.making ? "being made" : "not made yet"}` : "";
    const failed = poll.pairs.failed ? `, ${poll.pairs.failed} could not be made` : "";
    return told + missing + failed;
}

function voterName() {
    return $("voter").value.trim() || localStorage.getItem("ebca-voter") || "me";
}

async function home() {
    const state = await ask(`state?voter=${encodeURIComponent(voterName())}`);
    const items = state.polls.map((poll) => {
        const item = document.createElement("li");
        const name = made("span", poll.name || `Vote ${poll.id}`, {dir: "auto"});
        const links = made("span", "", {className: "links"});
        links.append(made("a", "Vote", {href: `#vote/${poll.id}`}), made("a", "Result", {href: `#result/${poll.id}`}));
        item.append(name, made("span", `${poll.a} against ${poll.b}; ${left(poll)}`), links);
        return item;
    });
    $("polls").replaceChildren(...(items.length ? items : [made("li", "There is none yet.")]));
    fillForm(state);
    show("home");
}

function fillForm(state) {
    const form = $("new");
    if (form.dataset.filled) return;
    form.dataset.filled = "yes";
    const choose = (name, options) => form.elements[name].replaceChildren(...options.map(([value, text]) => made("option", text, {value})));
    choose("prompts", [...state.sets.map((each) => [each.name, `${each.title} (${each.count})`]), ["own", "My own prompts"]]);
    for (const side of ["a", "b"]) choose(side, [...state.sides.map((each) => [each, each]), ["own", "other values"]]);
    choose("sampler", state.samplers.map((each) => [each, each]));
    $("sampler").hidden = !state.samplers.length;
    form.elements.b.value = "defaults";
    for (const [name, value] of Object.entries(state.sampling)) form.elements[name].value = value;
    const counts = Object.fromEntries(state.sets.map((each) => [each.name, each.count]));
    const follow = () => {
        const chosen = form.elements.prompts.value;
        $("own").hidden = chosen !== "own";
        form.elements.count.value = chosen === "own" ? "" : Math.min(60, counts[chosen]);
        form.elements.count.placeholder = "all";
    };
    form.elements.prompts.addEventListener("change", follow);
    for (const side of ["a", "b"]) {
        form.elements[side].addEventListener("change", () => ($(`own-${side}`).hidden = form.elements[side].value !== "own"));
    }
    follow();
}

function formValues() {
    const fields = $("new").elements;
    const number = (name) => (fields[name].value === "" ? {} : {[name]: Number(fields[name].value)});
    const side = (name) => (fields[name].value === "own" ? fields[`own_${name}`].value : fields[name].value);
    const sampling = {negative: fields.negative.value, ...number("steps"), ...number("cfg"), ...number("width"), ...number("height")};
    if (fields.sampler.value) sampling.sampler = fields.sampler.value;
    return {
        name: fields.name.value, prompts: fields.prompts.value, list: fields.list.value,
        ...number("count"), ...number("seeds"), ...number("seed"), a: side("a"), b: side("b"), sampling
    };
}

// Voting

async function enter(poll) {
    here.poll = poll;
    const name = voterName();
    $("voter").value = name;
    localStorage.setItem("ebca-voter", name);
    here.voter = (await ask("voters", {name})).voter;
    here.view = null; // the same pair may be the other way round for another voter
    $("to-result").href = `#result/${poll}`;
    display(await ask(`polls/${poll}/next?voter=${here.voter}`));
    show("booth");
    if (document.activeElement !== $("voter")) focus(); // the frame, so that keys arrive
}

function address(pair, side) {
    return `api/pairs/${pair}/${side}.png?voter=${here.voter}`;
}

function display(view) {
    const shown = here.view && here.view.pair && here.view.pair.id;
    here.view = view;
    const pair = view.pair, poll = view.poll;
    $("progress").textContent = `${view.done} of ${ready(poll) + waiting(poll)} voted; ${ready(poll)} made`;
    $("making").textContent = poll.making ? "Pause making pictures" : "Make the missing pictures";
    $("making").hidden = !poll.making && !waiting(poll) && !poll.pairs.failed;
    $("undo").disabled = !view.done;
    for (const each of ["ask", "prompt", "pictures"]) $(each).hidden = !pair;
    if (poll.problem) {
        complain(poll.problem);
        $("problem").dataset.of = "making";
    } else if ($("problem").dataset.of) {
        delete $("problem").dataset.of;
        complain("");
    }
    $("waiting").hidden = Boolean(pair);
    if (!pair) {
        $("waiting").textContent = poll.making ? "The next pair is being made." : waiting(poll) ? "The next pair is not made yet." : "You have voted on every pair. Thank you.";
    } else if (shown !== pair.id) {
        $("prompt").textContent = pair.prompt;
        $("prompt").scrollTop = 0;
        const {width, height} = poll.facts.sampling; // known before the pictures are there, so that nothing jumps
        for (const button of document.querySelectorAll(".picture")) Object.assign(button.firstElementChild, {width, height, src: address(pair.id, button.dataset.choice)});
        if (view.after) for (const side of ["left", "right"]) new Image().src = address(view.after, side);
    }
    for (const button of document.querySelectorAll("[data-choice]")) button.disabled = !pair;
    clearTimeout(here.timer);
    if (poll.making || !pair) here.timer = setTimeout(refresh, 1500);
}

async function refresh() {
    if ($("booth").hidden || here.busy) {
        if (!$("booth").hidden) here.timer = setTimeout(refresh, 1500);
        return;
    }
    const poll = here.poll, done = here.view.done;
    const view = await ask(`polls/${poll}/next?voter=${here.voter}`).catch(() => null);
    const same = !here.busy && poll === here.poll && done === here.view.done;
    if (!view || !same) {
        here.timer = setTimeout(refresh, 1500);
        return;
    }
    if (here.view.pair) Object.assign(view, {pair: here.view.pair, after: here.view.after}); // what is looked at stays
    display(view);
}

function seen() {
    return [...document.querySelectorAll(".picture img")].every((image) => image.complete && image.naturalWidth);
}

function vote(choice) {
    if (!here.view || !here.view.pair || !seen()) return;
    const pair = here.view.pair.id;
    attempt(async () => display(await ask(`pairs/${pair}`, {voter: here.voter, choice})));
}

function undo() {
    attempt(async () => display(await ask(`polls/${here.poll}/undo`, {voter: here.voter})));
}

// The result

async function result(poll) {
    const found = await ask(`polls/${poll}/result`);
    const all = found.together;
    $("to-booth").href = `#vote/${poll}`;
    $("result-name").textContent = found.poll.name || `Vote ${poll}`;
    $("verdict").textContent = all.verdict;
    const notes = [
        "In brackets: the 95 % Wilson interval, of all decisions; ties are none. p: two-sided exact sign test.",
        `Ties: ${all.same} the same, ${all.bad} both bad.`,
        all.more ? `To see a difference of 10 points (p < 0.05, power 80 %), some ${all.needed} pairs are needed: ${all.more} more.` : `These are enough pairs to see a difference of 10 points (some ${all.needed} are needed at p < 0.05, power 80 %).`
    ];
    if (all.by_prompt) notes.push(`Some prompts have several pictures, which are alike: with whole prompts drawn, ${all.by_prompt}.`);
    if (found.pairs.identical) notes.push(`In ${pairs(found.pairs.identical)} A and B are the same, pixel for pixel; nobody is asked about such pairs.`);
    if (found.pairs.failed) notes.push(`${pairs(found.pairs.failed)} could not be made.`);
    $("notes").textContent = notes.join(" ");
    fillTable(found);
    $("agreement").textContent = agreement(found);
    $("sheet").src = `api/polls/${poll}/result.png?${Date.now()}`;
    $("save-sheet").href = `api/polls/${poll}/result.png`;
    $("save-sheet").download = `ebca-vote-${poll}.png`;
    for (const form of ["csv", "json"]) $(`save-${form}`).href = `api/polls/${poll}/votes.${form}`;
    $("facts").textContent = JSON.stringify(found.poll.facts, null, 1);
    here.poll = poll;
    show("result");
}

function fillTable(found) {
    const row = (name, tally, tag = "td") => {
        const cells = [name, tally.count, tally.a, tally.b, tally.same, tally.bad, tally.preferred, tally.p_written, tally.more];
        const line = document.createElement("tr");
        line.append(...cells.map((cell) => made(tag, cell, {dir: "auto"})));
        line.firstChild.title = name; // a long one is cut
        return line;
    };
    const head = document.createElement("tr");
    head.append(...["", "pairs", "A", "B", "the same", "both bad", "preferred", "p", "still needed"].map((text) => made("th", text, {scope: "col"})));
    const rows = [head, row("together", found.together)];
    if (found.kinds.length > 1) rows.push(...found.kinds.map((each) => row(each.kind, each)));
    if (found.voters.length > 1) rows.push(...found.voters.map((each) => row(`voter ${each.name}`, each)));
    $("table").replaceChildren(...rows);
}

function agreement(found) {
    if (found.voters.length < 2) return "";
    const together = "Several voters count as one that says of each pair what most of them say.";
    if (!found.alpha) return `${together} There is nothing yet on which their agreement could be measured.`;
    const [value, low, high] = found.alpha.map((each) => each.toFixed(2));
    return `${together} Agreement on ${found.shared} pairs that several have seen: Krippendorff's alpha ${value} [${low}, ${high}]; 1 is full agreement, 0 is chance.`;
}

// What users do

async function route() {
    await afterwards(() => {
        const [, name, number] = location.hash.match(/^#(vote|result)\/(\d+)$/) || [];
        clearTimeout(here.timer);
        here.view = null;
        return name === "vote" ? enter(Number(number)) : name === "result" ? result(Number(number)) : home();
    });
}

async function takeIn(input, path, then) {
    const [file] = input.files;
    if (!file) return;
    await attempt(async () => {
        const answer = await ask(path(), {file: await file.text()});
        await then(answer);
        $("notes").textContent += ` ${answer.new} new votes were added.`;
    });
    input.value = "";
}

// In the WebUI the page stands in a frame, and takes the theme from what is around it.
function theme() {
    let dark = matchMedia("(prefers-color-scheme: dark)").matches;
    if (parent !== window) dark = parent.document.body.classList.contains("dark");
    document.documentElement.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
}

document.addEventListener("keydown", (event) => {
    if ($("booth").hidden || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, textarea, select, #prompt")) return;
    if (KEYS[event.key]) vote(KEYS[event.key]);
    else if (event.key === "Backspace" && !$("undo").disabled) undo();
    else return;
    event.preventDefault();
});
document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-choice]");
    if (button) vote(button.dataset.choice);
});
addEventListener("DOMContentLoaded", () => {
    theme();
    $("undo").addEventListener("click", undo);
    $("voter").addEventListener("change", () => afterwards(() => enter(here.poll)));
    for (const image of document.querySelectorAll(".picture img")) {
        image.addEventListener("error", () => complain("A picture of this pair cannot be loaded. If it was deleted, load this page again and press “Make the missing pictures”."));
    }
    $("making").addEventListener("click", () => attempt(async () => {
        await ask(`polls/${here.poll}/making`, {on: !here.view.poll.making});
        display({...here.view, poll: await ask(`polls/${here.poll}`)});
    }));
    $("new").addEventListener("submit", (event) => {
        event.preventDefault();
        attempt(async () => (location.hash = `vote/${(await ask("polls", formValues())).id}`));
    });
    $("import-new").addEventListener("change", (event) => takeIn(event.target, () => "votes", (answer) => (location.hash = `result/${answer.poll}`)));
    $("import").addEventListener("change", (event) => takeIn(event.target, () => `polls/${here.poll}/votes`, () => result(here.poll)));
    addEventListener("hashchange", route);
    route();
});
