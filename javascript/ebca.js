// The line under EBCA's controls follows the page: shortly after the prompt or a control has
// changed, a hidden button is pressed, whose handler on the server knows the WebUI's own parser.
// Nothing is asked while the line is not shown. Values that the WebUI sets (pasting, sending
// between tabs) fire no events, so the page is looked at instead of listened to.

const ebcaAsked = {};

function ebcaPage(tab) {
    const text = (selector) => gradioApp().querySelector(`${selector} textarea`)?.value ?? "";
    const styles = [...gradioApp().querySelectorAll(`#${tab}_styles .token > span`)];
    const hires = tab == "txt2img" && gradioApp().querySelector("#txt2img_hr-visible-checkbox")?.checked;
    return JSON.stringify({
        prompt: text(`#${tab}_prompt`),
        styles: styles.map((each) => each.textContent.trim()),
        hires: hires ? text("#hires_prompt") : null
    });
}

// What the button sends: its first input becomes the page; the last value, the line, is no input.
function ebcaWithPage(tab, values) {
    return [ebcaPage(tab), ...values.slice(1, -1)];
}

function ebcaFollow(tab) {
    const line = gradioApp().querySelector(`#ebca_${tab}_line`);
    if (!line || line.offsetParent === null) return;
    const controls = gradioApp().querySelectorAll(`#ebca_${tab}_enabled :is(input, textarea)`);
    const values = [...controls].map((each) => (each.type == "checkbox" || each.type == "radio" ? each.checked : each.value));
    const state = ebcaPage(tab) + JSON.stringify(values);
    if (state === ebcaAsked[tab]) return;
    ebcaAsked[tab] = state;
    gradioApp().querySelector(`#ebca_${tab}_tell`).click();
}

// A click on a word of the prompt: what is pressed is what the control "Subjects" says.
function ebcaToggle(chip) {
    const tab = chip.closest("[id^=ebca_]").id.split("_")[1];
    const box = gradioApp().querySelector(`#ebca_${tab}_subjects :is(input, textarea)`);
    chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") != "true");
    const pressed = chip.parentElement.querySelectorAll("[aria-pressed=true]");
    box.value = [...pressed].map((each) => each.dataset.subject).join(", ");
    updateInput(box);
}

document.addEventListener("click", function(event) {
    const chip = event.target.closest?.(".ebca-chip");
    if (chip) ebcaToggle(chip);
});

onUiLoaded(function() {
    setInterval(() => ["txt2img", "img2img"].forEach(ebcaFollow), 500);
});
