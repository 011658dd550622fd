// Change faults that are there: { node, proxy, name, form } as lanes and lists have them.
import { send } from "../shell.js";
import { at, place } from "./nodes.js";

const WHERE = { script: "scripts", recipe: "recipes" };
/** The collection of a form: fault and roulette are faults. */
export const collection = (form) => WHERE[form] ?? "faults";
const path = ({ node, proxy, name, form }) => place(node, at(proxy, collection(form), name));

/** Turn it on or off. Gives what the node answers; throws an Error with a sentence. */
export const setFault = (fault, on) => send("PATCH", path(fault), { enabled: on });
/** Match numbers, counts and steps from the beginning, on. */
export const restartFault = (fault) => send("POST", `${path(fault)}/restart`);
/** Take it away; what it holds is let go. */
export const removeFault = (fault) => send("DELETE", path(fault));
