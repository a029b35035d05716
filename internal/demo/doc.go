// Package demo is a small organization worth looking at: a shop with customers and orders, and a storefront that sells
// from it while it is backed up, halts when a restore asks it to, and forgets no order that it said was saved.
package demo
