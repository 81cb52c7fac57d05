package exchange

// OnFault sets what is called after each step of an import.
func OnFault(fn func(step string)) { fault = fn }
