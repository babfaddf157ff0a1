// Keep the line under EBCA's controls up to date: shortly after the prompt or a control has changed,
// this script presses a hidden button, whose handler on the server uses the WebUI's own parser.
// It asks nothing while the line is not shown. Values that the WebUI sets (pasting, sending between
// tabs) fire no events, so the page is polled.

const ebcaAsked = {}; // the state of the page when the server was last asked
const ebcaChosen = {}; // the chosen model, as the page shows it
const ebcaChanged = {}; // whether a change of a control is not shown in the words yet
const ebcaQueue = {txt2img: [], img2img: []}; // clicks that wait for the answer to an earlier click
const ebcaWaits = {}; // when the pending question was asked
const EBCA_PATIENCE = 10000; // ms to wait for an answer
let ebcaFocused = null; // tab and key of the word that has the focus

function ebcaPage(tab) {
    const find = (selector) => gradioApp().querySelector(selector);
    const text = (id) => find(`#${id} textarea`)?.value ?? "";
    const number = (id, otherwise) => Number(find(`#${id} input[type=number]`)?.value ?? otherwise);
    const choice = (id) => find(`#${id} :is(input[type=radio]:checked, input:not([type=radio]))`)?.value ?? "";
    const sampling = (sampler, scheduler, steps, denoising) => ({
        sampler: choice(sampler),
        scheduler: choice(scheduler),
        steps: number(steps, 20),
        denoising: denoising && number(denoising, 0.75)
    });
    const styles = [...gradioApp().querySelectorAll(`#${tab}_styles .token > span`)];
    const strength = tab == "img2img" ? "img2img_denoising_strength" : null;
    const hires = tab == "txt2img" && find("#txt2img_hr-visible-checkbox")?.checked;
    return JSON.stringify({
        tab: tab,
        prompt: text(`${tab}_prompt`),
        styles: styles.map((each) => each.textContent.trim()),
        ...sampling(`${tab}_sampling`, `${tab}_scheduler`, `${tab}_steps`, strength),
        hires: hires ? {
            prompt: text("hires_prompt"),
            ...sampling("hr_sampler", "hr_scheduler", "txt2img_hires_steps", "txt2img_denoising_strength")
        } : null
    });
}

// Only the server knows which model the next job will use. It is asked again when another model is
// chosen, once more when the choice has had time to reach the server, and after every job.
function ebcaModel(tab) {
    const chosen = [...gradioApp().querySelectorAll("#quicksettings input")].map((each) => each.value).join();
    const before = ebcaChosen[tab];
    if (chosen !== before) {
        ebcaChosen[tab] = chosen;
        if (before !== undefined) setTimeout(() => delete ebcaAsked[tab], 3000);
    }
    return chosen + (gradioApp().querySelector(`#html_log_${tab}`)?.textContent ?? "");
}

// Returns the button's inputs, with the page as the first; the last value, the line, is an output.
function ebcaWithPage(tab, values) {
    return [ebcaPage(tab), ...values.slice(1, -1)];
}

function ebcaFollow(tab) {
    const line = gradioApp().querySelector(`#ebca_${tab}_line`);
    if (!line || line.offsetParent === null) return;
    const controls = gradioApp().querySelectorAll(`#ebca_${tab}_enabled :is(input, textarea)`);
    const values = [...controls].map((each) => (each.type == "checkbox" || each.type == "radio" ? each.checked : each.value));
    const state = ebcaPage(tab) + JSON.stringify(values) + ebcaModel(tab);
    if (state === ebcaAsked[tab] || ebcaWaiting(tab)) return; // a press during a question is lost
    ebcaAsked[tab] = state;
    ebcaWaits[tab] = Date.now();
    gradioApp().querySelector(`#ebca_${tab}_tell`).click();
}

function ebcaWaiting(tab) {
    return Date.now() - (ebcaWaits[tab] ?? 0) < EBCA_PATIENCE;
}

// The buttons for the prompt's words. A click changes the control "Subjects" or "Words to bring out"
// and is shown when the server has read it: there is no other state.

function ebcaBox(tab, field) {
    return gradioApp().querySelector(`#ebca_${tab}_${field} :is(input, textarea)`);
}

function ebcaWrite(tab, field, text) {
    const box = ebcaBox(tab, field);
    if (box.value === text) return;
    box.value = text;
    updateInput(box);
    ebcaChanged[tab] = true;
    setTimeout(() => ebcaFollow(tab), 30);
}

function ebcaTab(chip) {
    return chip.closest("[id^=ebca_]").id.split("_")[1];
}

function ebcaChip(tab, key) {
    return [...gradioApp().querySelectorAll(`#ebca_${tab}_line .ebca-chip`)].find((chip) => chip.dataset.key === key);
}

function ebcaPress(chip) {
    const tab = ebcaTab(chip);
    if (ebcaChanged[tab]) {
        ebcaQueue[tab].push(chip.dataset.key);
    } else if (chip.dataset.then !== undefined) {
        if (chip.hasAttribute("aria-pressed")) chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") != "true");
        ebcaWrite(tab, chip.dataset.control ?? "subjects", chip.dataset.then);
    }
}

function ebcaEntries(tab) {
    return ebcaBox(tab, "token_weights").value.split(",").map((entry) => entry.trim()).filter(Boolean);
}

// Sets the factor of `words`; a factor of 1 removes the entry.
function ebcaWeigh(tab, words, factor) {
    const name = (entry) => entry.slice(0, entry.lastIndexOf(":")).trim();
    const entries = ebcaEntries(tab), place = entries.findIndex((entry) => name(entry) === words);
    const fresh = factor == 1 ? [] : [`${words}:${factor}`];
    entries.splice(place < 0 ? entries.length : place, place < 0 ? 0 : 1, ...fresh);
    ebcaWrite(tab, "token_weights", entries.join(", "));
}

// The slider is put outside the line, which may be redrawn while it is used.
function ebcaSlider(chip) {
    ebcaCloseSlider();
    const tab = ebcaTab(chip), key = chip.dataset.key, words = chip.dataset.words, all = chip.closest(".ebca-words").dataset;
    const box = document.createElement("div"), range = document.createElement("input"), told = document.createElement("output");
    const label = document.createElement("label");
    Object.assign(box, {id: "ebca_slider", role: "dialog"});
    box.setAttribute("role", "dialog");
    box.setAttribute("aria-label", `How much to bring out “${words}”`);
    Object.assign(range, {type: "range", min: all.low, max: Math.max(all.high, chip.dataset.factor), step: all.step, value: chip.dataset.factor});
    told.textContent = `×${range.value}`;
    label.append(`bring out “${words}” `, range);
    box.append(label, told);
    range.addEventListener("input", () => (told.textContent = `×${range.value}`));
    range.addEventListener("change", () => ebcaWeigh(tab, words, Number(range.value)));
    box.addEventListener("keydown", (event) => {
        if (event.key != "Escape" && event.key != "Enter") return;
        event.preventDefault();
        event.stopPropagation();
        ebcaCloseSlider();
        ebcaChip(tab, key)?.focus();
    });
    const place = chip.getBoundingClientRect();
    document.body.append(box);
    box.style.left = `${Math.max(0, Math.min(place.left, innerWidth - box.offsetWidth - 8)) + scrollX}px`;
    box.style.top = `${place.bottom + 4 + scrollY}px`;
    range.focus();
}

function ebcaCloseSlider() {
    document.querySelector("#ebca_slider")?.remove();
}

// Put the focus back on its word after the words were redrawn.
function ebcaRefocus(tab) {
    if (ebcaFocused?.tab === tab && document.activeElement === document.body) {
        ebcaChip(tab, ebcaFocused.key)?.focus({preventScroll: true});
    }
}

// The server has answered: wait until the new words are there, which may take a frame, then carry
// out the next waiting click.
function ebcaAnswered(tab) {
    requestAnimationFrame(() => requestAnimationFrame(() => {
        delete ebcaWaits[tab];
        ebcaFollow(tab); // asks about changes made meanwhile
        if (ebcaWaiting(tab)) return;
        ebcaChanged[tab] = false;
        const chip = ebcaQueue[tab].length && ebcaChip(tab, ebcaQueue[tab].shift());
        if (chip) ebcaPress(chip);
    }));
}

document.addEventListener("click", function(event) {
    if (event.isTrusted && !event.target.closest?.("#ebca_slider")) ebcaCloseSlider(); // ebcaFollow clicks too
    const chip = event.target.closest?.(".ebca-chip");
    if (!chip) return;
    if (event.shiftKey && chip.dataset.words) ebcaSlider(chip);
    else ebcaPress(chip);
});

document.addEventListener("keydown", function(event) {
    const chip = event.target.closest?.(".ebca-chip[data-words]");
    if (!chip || !event.shiftKey || (event.key != "Enter" && event.key != " ")) return;
    event.preventDefault();
    ebcaSlider(chip);
});

document.addEventListener("focusin", function(event) {
    const chip = event.target.closest?.(".ebca-chip");
    ebcaFocused = chip ? {tab: ebcaTab(chip), key: chip.dataset.key} : null;
});

onUiLoaded(function() {
    for (const tab of ["txt2img", "img2img"]) {
        const line = gradioApp().querySelector(`#ebca_${tab}_line`);
        if (line) new MutationObserver(() => ebcaRefocus(tab)).observe(line, {childList: true, subtree: true});
    }
    setInterval(() => ["txt2img", "img2img"].forEach(ebcaFollow), 500);
});
