// Package dashboard is what an operator looks at: pages and a live stream over operator.Source, served by the server itself. It
// loads nothing from anywhere else, runs no script that is not its own file, and works as plain pages where scripts are off.
//
// # Who gets in
//
// An operator's token is exchanged for a cookie that scripts cannot read and that other sites cannot send; every write wants
// the write scope, a secret of the session's forms, a request from the same origin, and a page before it that says in words
// what will happen. A session is signed and kept nowhere, so that any replica with the same key knows it; logging out ends it at
// the replica that was asked and in the browser, elsewhere it runs out (8 hours at most). Only the login and the assets are
// answered without a session.
//
// # What it shows
//
// Sums over rounds and devices. There is no page, stream or table with a row for a device, because operator.View has none.
//
// # Live
//
// While somebody watches a task, one loop reads its view when the store says that something changed, renders the parts of the page
// and sends to all who watch those that changed (event sections), and what happened (event happened, whose id is its number in
// the store: a reader who comes back, to any replica, is told what it missed). Readers, their queues and the time for a write are
// bounded; whoever falls behind is let go and comes back.
package dashboard
