// Haraka's plugin for the benchmark: relay every mail to the one sink.
'use strict';

exports.hook_rcpt = function (next, connection) {
    connection.relaying = true;
    next(OK);
};

exports.hook_get_mx = function (next) {
    next(OK, { priority: 0, exchange: '127.0.0.1', port: Number(this.config.get('sink_port')) });
};
