// Package source reads the policy file and settles what it says of one device. It knows
// the file's words, checks all of them at once, lays the layers over one another and
// resolves categories, groups and exceptions into an intent.Settled. It compiles nothing
// for any platform, reads no file itself and has no clock: files and times are passed in.
//
// # Layers
//
// A setting comes from one of four layers, each over the one before:
//
//  1. Ward's own defaults, for the posture only;
//  2. the baselines, in the order in which the policy names them;
//  3. the policy's own sections;
//  4. the groups that match the device, in the order of the file.
//
// Exceptions come last: each lifts the block of one app for those it was approved for.
//
// # Rules
//
//   - A single value is that of the last layer that gives it: a notice (whole, with all its
//     languages), block.mode, a switch, a field of the posture, an update of one platform.
//   - Lists add up: block.categories, apps, except and allow, a group's approved apps.
//     Networks, web clips and own profiles add up too; one with the name of an earlier one
//     takes its place.
//   - A layer first adds what its categories and apps name to what is kept off, and then
//     takes away what its except names, whichever layer put it there. A later layer may
//     block it again.
//   - A group gets every app of the register unless it says which. Where several groups
//     say so, a device gets what any of them names.
//   - A group matches where everything its match gives holds: site, ward (the device's
//     group), role, ownership and platform. Letter case is ignored. A device whose
//     ownership is not known counts as personal.
//   - Never kept off, whatever is named: an identifier, a web host or a network name of an
//     approved app, one of an app that was excepted, a host that other services share, an
//     identifier of the system itself, and rows of the catalogue that may never be blocked.
package source
