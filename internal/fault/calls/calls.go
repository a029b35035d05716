// Package calls makes the Nth call of a database engine, a storage or a service fail on purpose: package fault says
// which. In a normal build its functions return what they are given.
package calls
