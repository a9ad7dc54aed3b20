// Print events, from JavaScript, without any Clacks code: AMQP 1.0 and an XQuery are all it takes.
//
//     npm install rhea
//     node examples/javascript/receiver.js [--query FILE] [--count N]
//
// CLACKS_HOST, CLACKS_PORT, CLACKS_USER and CLACKS_PASSWORD say where the bus is and who logs in.
'use strict';

const fs = require('node:fs');
const rhea = require('rhea');

function option(name) {
    const at = process.argv.indexOf(name);
    return at > 0 ? process.argv[at + 1] : undefined;
}

const queryFile = option('--query');
const count = Number(option('--count') || Infinity);

const source = { address: 'org.clacks.event' }; // all event types; org.clacks.event.PhoneStatus is one
if (queryFile) {
    const query = fs.readFileSync(queryFile, 'utf8');
    // A filter is a described value: its registered code says what the text means.
    source.filter = { events: rhea.types.wrap_described(query, 'apache.org:xquery-filter:string') };
}

let seen = 0;

rhea.on('receiver_open', (context) => {
    const agreed = context.receiver.source;
    if (!agreed.address) {
        return; // refused; the reason follows
    }
    // The broker repeats the filters that are in force. A filter that it dropped would mean: everything.
    if (queryFile && !(agreed.filter && agreed.filter.events)) {
        console.error('this broker does not filter with XQuery');
        process.exit(2);
    }
    console.log('listening');
});

rhea.on('receiver_error', (context) => {
    console.error(`refused: ${context.receiver.error.condition}: ${context.receiver.error.description}`);
    process.exit(1);
});

rhea.on('message', (context) => {
    const { subject, body } = context.message;
    console.log(subject, body.content.toString('utf8'));
    seen += 1;
    if (seen >= count) {
        context.connection.close();
    }
});

rhea.on('disconnected', (context) => {
    console.error('no connection:', context.error ? context.error.message : 'closed');
    process.exit(1);
});

rhea.connect({
    host: process.env.CLACKS_HOST || 'localhost',
    port: Number(process.env.CLACKS_PORT || 5672),
    username: process.env.CLACKS_USER || 'admin',
    password: process.env.CLACKS_PASSWORD || 'secret',
    reconnect: false,
}).open_receiver({ source, autoaccept: true });
