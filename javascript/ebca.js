// The line under EBCA's controls follows the prompt and the controls: shortly after a change the
// hidden button is pressed, whose handler on the server knows the WebUI's own prompt parser.

const ebcaTabs = ["txt2img", "img2img"];
const ebcaSeen = {};

function ebcaPrompt(tab) {
    return gradioApp().querySelector(`#${tab}_prompt textarea`)?.value ?? "";
}

function ebcaLineInputs(tab, values) {
    values.length = values.length - 1; // the last is the line itself
    return [ebcaPrompt(tab), ...values.slice(1)];
}

function ebcaLineInputs_txt2img() {
    return ebcaLineInputs("txt2img", [...arguments]);
}

function ebcaLineInputs_img2img() {
    return ebcaLineInputs("img2img", [...arguments]);
}

function ebcaState(tab) {
    const controls = gradioApp().querySelectorAll(
        `#ebca_${tab}_enabled input, #ebca_${tab}_enabled textarea`
    );
    const values = [...controls].map((each) => (each.type == "checkbox" || each.type == "radio" ? each.checked : each.value));
    return JSON.stringify([ebcaPrompt(tab), values]);
}

function ebcaFollow(tab) {
    const accordion = gradioApp().querySelector(`#ebca_${tab}_enabled`);
    if (!accordion || accordion.offsetParent === null) return; // its tab is not shown
    const state = ebcaState(tab);
    if (state === ebcaSeen[tab]) return;
    ebcaSeen[tab] = state;
    gradioApp().querySelector(`#ebca_${tab}_tell`)?.click();
}

onUiLoaded(function() {
    setInterval(() => ebcaTabs.forEach(ebcaFollow), 700);
});
