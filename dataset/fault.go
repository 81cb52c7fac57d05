package dataset

// fault is called after each step of the write protocol. Tests of crashes end the process there.
var fault = func(step string) {}
