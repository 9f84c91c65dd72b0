// Package virtual is an iPhone, an iPad or a Mac made of software. A Phone speaks the real
// protocol through the engine in package agent, commands and declarations alike; a Judge
// is the same device without a network, for tests of very many cases. Both obey Apple's
// rules about versions, supervision, enrolment, access rights, restrictions, managed apps,
// content filters, passcodes, lost mode and erasure as far as Apple has written them down,
// and answer what a person could do with the device. They judge what a server sends, so
// they share no code with whatever compiles profiles, and what they say of themselves is
// what they hold and not what they were told to hold.
//
// Declarations are understood from iOS 15 and macOS 13: activations with predicates (the
// part of the language that type predicate names), profiles by legacy configurations,
// passcode, app settings, managed apps with their assets, updates, resolvers, identities and
// credentials of apps by SCEP, ACME and PKCS #12, status subscriptions and properties.
// A device counts the destructive commands that came to it through all its lives, so that a
// test can say that it was erased once, or never. A phone that was erased to return to
// service comes back by itself; that a Mac is out of reach while a PIN locks it is left out.
// Keys that profiles bind to the hardware live in a Secure Enclave, which attests them under
// a root that the test makes. Settings of updates and filters, passkeys and
// certificates are checked and held without an effect; every other configuration is refused
// as not supported.
//
// It will not imitate a user interface, download the code of apps, run content filters that
// are plug-ins, resolve names, know channels of persons, or update itself
// when an enforced update falls due. A Mac is here only as far as intents can be judged on
// it. What is kept of declarations does not outlive the process.
//
// Sources: Apple, github.com/apple/device-management (schema of profiles, commands and
// declarations), Apple, MDM Protocol Reference (error codes, NotNow), and Apple,
// Configuration Profile Reference (content filter). Nothing here was observed on a device.
package virtual
