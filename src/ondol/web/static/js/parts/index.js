// @ts-check
export { Button, Copy, IconButton } from "./button.js";
export { Confirm, Dialog, Drawer } from "./dialog.js";
export { Badge, Columns, Empty, PageHead, Progress, StackedBar } from "./figures.js";
export { Choice, Field, Select, Switch, Tabs } from "./forms.js";
export { Icon } from "./icon.js";
export { Menu, Popover } from "./menu.js";
export { Toasts } from "./toasts.js";
