//! Topics as the dispatcher uses them, with receivers that write down what they get.
