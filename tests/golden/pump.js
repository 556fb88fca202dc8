'use strict';
const mqtt = require('mqtt');
const client = mqtt.connect('mqtt://broker.local:1883', { clientId: 'pump-7' });

client.on('connect', function () {
  client.subscribe('plant/pump/7/set', function (err) {
    if (err) { console.error('cannot subscribe', err); process.exit(1); }
  });
});

client.on('message', function (topic, message) {
  const wanted = JSON.parse(message.toString());
  if (typeof wanted.rate !== 'number' || wanted.rate < 0 || wanted.rate > 100) {
    console.warn('ignored', topic, wanted);
    return;
  }
  setRate(wanted.rate);
});

module.exports = { client: client };
