// Package measure backs up and restores a pgbench database of a stated size through a real server, and prints the
// times and the peak memory of the server process as the kernel counted it.
//
// It holds tests only, which do nothing unless SAFEPOINT_MEASURE says how large: `make measure SCALE=75` is about 1 GiB.
package measure
