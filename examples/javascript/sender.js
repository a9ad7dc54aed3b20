// Send a phone event, from JavaScript, without any Clacks code.
//
//     npm install rhea
//     node examples/javascript/sender.js CALLER RECEIVER STATUS
//
// CLACKS_HOST, CLACKS_PORT, CLACKS_USER and CLACKS_PASSWORD say where the bus is and who logs in.
'use strict';

const crypto = require('node:crypto');
const rhea = require('rhea');

const [caller = '012345', receiver = '12343424', status = 'busy'] = process.argv.slice(2);
const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const user = process.env.CLACKS_USER || 'admin';

const xml =
    '<Event xmlns="http://www.gonicus.de/Events"><PhoneStatus>' +
    `<CallerId>${escape(caller)}</CallerId><ReceiverId>${escape(receiver)}</ReceiverId>` +
    `<Status>${escape(status)}</Status></PhoneStatus></Event>`;

rhea.once('sendable', (context) => {
    // Subject, address and document must name the same event type; the broker validates the document.
    // Unsettled, so that the broker's verdict comes back.
    context.sender.send({
        subject: 'PhoneStatus',
        content_type: 'application/xml',
        user_id: Buffer.from(user),
        application_properties: {
            cloudEvents_specversion: '1.0',
            cloudEvents_id: crypto.randomUUID(),
            cloudEvents_type: 'PhoneStatus',
            cloudEvents_source: '/examples/javascript',
            cloudEvents_time: new Date().toISOString(),
        },
        body: rhea.message.data_section(Buffer.from(xml, 'utf8')),
    });
});

rhea.on('accepted', (context) => {
    console.log('sent');
    context.connection.close();
});

rhea.on('rejected', (context) => {
    const error = context.delivery.remote_state.error;
    console.error(`refused: ${error ? error.description : 'no reason given'}`);
    process.exitCode = 1;
    context.connection.close();
});

rhea.on('sender_error', (context) => {
    console.error(`refused: ${context.sender.error.description}`);
    process.exit(1);
});

rhea.on('disconnected', (context) => {
    console.error('no connection:', context.error ? context.error.message : 'closed');
    process.exit(1);
});

rhea.connect({
    host: process.env.CLACKS_HOST || 'localhost',
    port: Number(process.env.CLACKS_PORT || 5672),
    username: user,
    password: process.env.CLACKS_PASSWORD || 'secret',
    reconnect: false,
}).open_sender('org.clacks.event.PhoneStatus');
